"""Who may use the database of a run, and how many at a time."""

from __future__ import annotations

import secrets

from payresil.backends.embedded.postgres_files import DATABASE

#: Roles made for the run: the service owns the database, the auditor may read all of it.
SERVICE, AUDITOR = "service", "auditor"

_CONNECTIONS_PER_INSTANCE = 40
_CONNECTIONS_BESIDES = 20


def connections_for(instances: int) -> int:
    """How many connections a database must take."""
    return _CONNECTIONS_PER_INSTANCE * instances + _CONNECTIONS_BESIDES


class Roles:
    """The roles of one database, with passwords of the run's own."""

    def __init__(self) -> None:
        self._passwords = {role: secrets.token_urlsafe(24) for role in (SERVICE, AUDITOR)}
        self.owner_password = secrets.token_urlsafe(24)  # where the owner has no socket to use

    def statements(self) -> str:
        """SQL that lets them in."""
        role = "create role {} login password '{}' {};"  # passwords are letters, digits, - and _
        return "\n".join(
            (
                role.format(SERVICE, self._passwords[SERVICE], ""),
                role.format(AUDITOR, self._passwords[AUDITOR], "in role pg_read_all_data"),
                f"alter database {DATABASE} owner to {SERVICE};",
            )
        )

    def url(self, role: str, address: str) -> str:
        """A database URL for `role` at ``host:port``. It holds the role's password."""
        return f"postgresql://{role}:{self._passwords[role]}@{address}/{DATABASE}"

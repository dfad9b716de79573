"""Who may use the database of a run, and how many at a time."""

from __future__ import annotations

import secrets

from payresil.backends.embedded.postgres_files import DATABASE

#: Roles made for the run: the service owns the database, the auditor may read all of it.
SERVICE, AUDITOR = "service", "auditor"

#: Roles of databases that replicate: a standby comes to its source as the replicator, and the
#: operator does what failing over takes. Neither is a superuser, and neither can write a payment.
REPLICATOR, OPERATOR = "replicator", "operator"

_CONNECTIONS_PER_INSTANCE = 40
_CONNECTIONS_BESIDES = 20

#: What pg_rewind calls at its source.
_READS_FILES = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)

_OPERATES = (
    "pg_promote(boolean, integer)",
    "pg_reload_conf()",
    "pg_wal_replay_pause()",
    "pg_wal_replay_resume()",
)
_SETS = ("primary_conninfo", "synchronous_standby_names")


def connections_for(instances: int) -> int:
    """How many connections a database must take."""
    return _CONNECTIONS_PER_INSTANCE * instances + _CONNECTIONS_BESIDES


class Roles:
    """The roles of one database, or of all that replicate it, with passwords of the run's own."""

    def __init__(self, *, replicated: bool = False) -> None:
        """`replicated`: with the replicator and the operator."""
        self._replicated = replicated
        names = (SERVICE, AUDITOR, *((REPLICATOR, OPERATOR) if replicated else ()))
        self._passwords = {role: secrets.token_urlsafe(24) for role in names}
        self.owner_password = secrets.token_urlsafe(24)  # where the owner has no socket to use

    def statements(self) -> str:
        """SQL that lets them in."""
        lines = [
            self._role(SERVICE),
            self._role(AUDITOR, "in role pg_read_all_data"),
            f"alter database {DATABASE} owner to {SERVICE};",
        ]
        return "\n".join([*lines, *(self._for_replication() if self._replicated else ())])

    def url(self, role: str, address: str) -> str:
        """A database URL for `role` at ``host:port``. It holds the role's password."""
        return f"postgresql://{role}:{self._passwords[role]}@{address}/{DATABASE}"

    def password_file(self, *roles: str) -> str:
        """What libpq reads passwords from: a line for each of `roles`, wherever it connects to."""
        return "".join(f"*:*:*:{role}:{self._passwords[role]}\n" for role in roles)

    def _role(self, role: str, more: str = "") -> str:
        # Passwords are letters, digits, - and _.
        return f"create role {role} login password '{self._passwords[role]}' {more};"

    def _for_replication(self) -> list[str]:
        rights = "in role pg_monitor, pg_checkpoint, pg_read_all_data"
        grants = [(_READS_FILES, REPLICATOR), (_OPERATES, OPERATOR)]
        return [
            self._role(REPLICATOR, "replication"),
            self._role(OPERATOR, rights),
            *(f"grant execute on function {', '.join(names)} to {to};" for names, to in grants),
            f"grant alter system on parameter {', '.join(_SETS)} to {OPERATOR};",
        ]

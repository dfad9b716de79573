"""Makes a database whose data folder is not in use the standby of another."""

from __future__ import annotations

import shutil

from payresil.backends.embedded.postgres import Postgres
from payresil.backends.embedded.postgres_files import DATABASE
from payresil.backends.embedded.postgres_roles import REPLICATOR
from payresil.core.protocols import EnvironmentBroke

#: Seconds that a copy of a whole database and rewinding one may take.
_COPY_S = 60.0
_REWIND_S = 30.0

_CONNECT_S = 2  # the least that libpq allows


def conninfo(source_address: str, role: str = REPLICATOR) -> str:
    """How libpq reaches the database at ``host:port``; a password file has the password."""
    host, _, port = source_address.rpartition(":")
    return f"host={host} port={port} user={role} dbname={DATABASE} connect_timeout={_CONNECT_S}"


def stand_by(member: Postgres, source_address: str) -> None:
    """When it is started next, stream from ``host:port``; whatever else was set is forgotten.

    That settles a member that has never been started: all begin with the same cluster, and the
    standby gets from its source what was written since, roles included.
    """
    member.write(member.data / "standby.signal", "")
    line = f"primary_conninfo = '{conninfo(source_address)}'\n"
    member.write(member.data / "postgresql.auto.conf", line)


def stand_alone(member: Postgres) -> None:
    """When it is started next, take no writes, and stream from nowhere."""
    member.write(member.data / "standby.signal", "")
    member.write(member.data / "postgresql.auto.conf", "")


def clone(member: Postgres, source_address: str) -> None:
    """Replace what `member` holds, if anything, by a copy of its source, and have it stand by.

    Raises:
        EnvironmentBroke: when the copy fails; what was there is still there then.
    """
    copy = member.data.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    member.run(
        "copying a database",
        "pg_basebackup",
        f"--dbname={conninfo(source_address)}",
        f"--pgdata={copy}",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-manifest",  # nobody keeps this copy, and TCP has checked what came
        "--no-sync",  # processes are killed here, the machine never is
        timeout_s=_COPY_S,
    )
    shutil.rmtree(member.data, ignore_errors=True)
    copy.rename(member.data)
    stand_by(member, source_address)


def rejoin(member: Postgres, source_address: str) -> str:
    """Have a former primary, or a standby that went another way, stand by: what only it has goes.

    Returns ``rewound`` or, where that cannot be done, ``copied``. Its log says why not.

    Raises:
        EnvironmentBroke: when neither can be done.
    """
    try:
        _rewind(member, source_address)
    except EnvironmentBroke:
        clone(member, source_address)
        return "copied"
    stand_by(member, source_address)
    return "rewound"


def _rewind(member: Postgres, source_address: str) -> None:
    if not (member.data / "standby.signal").exists():
        # pg_rewind would do it in the database template1, which the cluster has not got.
        member.recover()
    member.run(
        "rewinding a database",
        "pg_rewind",
        f"--source-server={conninfo(source_address)}",
        f"--target-pgdata={member.data}",
        "--no-ensure-shutdown",
        "--no-sync",
        timeout_s=_REWIND_S,
    )

"""PostgreSQL in a container: an empty cluster at the first start, then the server.

It takes the variables and the start-up scripts that the official image takes (POSTGRES_USER,
POSTGRES_PASSWORD, POSTGRES_DB, PGDATA, /docker-entrypoint-initdb.d), so either can stand in for
the other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SCRIPTS = Path("/docker-entrypoint-initdb.d")
DATA = "/var/lib/postgresql/18/docker"

#: As payresil starts its own: small, and with shared memory where nothing outlives it.
_SETTINGS = {
    "listen_addresses": "*",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",
    "huge_pages": "off",
    "io_method": "sync",
    "jit": "off",
    "update_process_title": "off",
}
_START_S = 60


class ClusterError(Exception):
    """The cluster cannot be made or started; the message says what to do."""


def prepared(environment: Mapping[str, str], sockets: Path) -> Path:
    """The data folder; made when there is none, as a whole or not at all.

    Raises:
        ClusterError: when it cannot be made; PostgreSQL has said why.
    """
    data = Path(environment.get("PGDATA") or DATA)
    if os.geteuid() == 0:
        raise ClusterError("PostgreSQL does not run as root: leave the image's own user")
    if (data / "PG_VERSION").exists():
        return data
    if not environment.get("POSTGRES_PASSWORD"):
        raise ClusterError("set POSTGRES_PASSWORD: it becomes the owner's password")
    draft = data.with_name(f"{data.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)  # of a start that was cut short
    try:
        draft.mkdir(parents=True, mode=0o700)
        _fill(draft, environment, sockets)
        if data.is_dir():
            data.rmdir()  # an empty mount point below the volume
        draft.rename(data)
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"{Path(error.cmd[0]).name} failed: see above") from error
    return data


def server(data: Path, sockets: Path, options: Sequence[str]) -> list[str]:
    """The command of the server; its sockets are for this container alone."""
    settings = {**_SETTINGS, "unix_socket_directories": str(sockets)}
    ours = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ["postgres", "-D", str(data), *ours, *options]


def _fill(data: Path, environment: Mapping[str, str], sockets: Path) -> None:
    user = environment.get("POSTGRES_USER") or "postgres"
    database = environment.get("POSTGRES_DB") or user
    with tempfile.NamedTemporaryFile("w") as password:
        password.write(environment["POSTGRES_PASSWORD"])
        password.flush()
        _run("initdb", f"--pgdata={data}", f"--username={user}", f"--pwfile={password.name}",
             "--encoding=UTF8", "--no-locale", "--auth-local=trust", "--auth-host=scram-sha-256",
             "--no-instructions")  # fmt: skip
    with (data / "pg_hba.conf").open("a") as file:
        file.write("host all all all scram-sha-256\n")
    with _serving(data, sockets):
        client = {**environment, "PGHOST": str(sockets), "PGUSER": user}
        if database != "postgres":
            _run("createdb", database, env={**client, "PGDATABASE": "postgres"})
        for script in sorted(SCRIPTS.glob("*")) if SCRIPTS.is_dir() else ():
            _execute(script, {**client, "PGDATABASE": database})


@contextmanager
def _serving(data: Path, sockets: Path) -> Iterator[None]:
    """Serve on a socket alone, so that nobody takes it for the real start."""
    options = f"-c listen_addresses='' -c unix_socket_directories='{sockets}'"
    control = ["pg_ctl", "-D", str(data), "-w", "-t", str(_START_S)]
    _run(*control, "-o", options, "start")
    try:
        yield
    finally:
        _run(*control, "-m", "fast", "stop")


def _execute(script: Path, environment: Mapping[str, str]) -> None:
    if script.suffix == ".sh":
        _run("sh", str(script), env=environment)
    elif script.suffix == ".sql":
        _run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script), env=environment)


def _run(*argv: str, env: Mapping[str, str] | None = None) -> None:
    subprocess.run(argv, check=True, env=None if env is None else {**env})

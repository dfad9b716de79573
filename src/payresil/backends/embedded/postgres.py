"""PostgreSQL in the foreground, on a data folder of the run's own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from payresil.backends.embedded.postgres_files import (
    DATABASE,
    OWNER,
    POSTGRES_ENVIRONMENT,
    PostgresFiles,
)
from payresil.backends.embedded.postgres_roles import Roles, connections_for
from payresil.backends.embedded.program import Program
from payresil.backends.launcher import unprivileged_user
from payresil.backends.ports import LOOPBACK
from payresil.core.protocols import EnvironmentBroke, Launcher

_SQL_S = 30.0


class Postgres:
    """One database node: its folder, how to start it, and its roles.

    Durability is left as PostgreSQL has it: a commit is acknowledged when it is on disk.
    """

    def __init__(
        self, folder: Path, files: PostgresFiles, launcher: Launcher, log: Path, *, instances: int
    ) -> None:
        """Make an empty cluster in `folder`, which becomes the property of who will run it.

        Raises:
            EnvironmentBroke: when that fails.
        """
        self._folder = folder
        self._files = files
        self._connections = connections_for(instances)
        self._port = 0
        self._roles = Roles()
        folder.mkdir(mode=0o700)
        user = unprivileged_user()
        if user is not None:
            os.chown(folder, *user)
            check_reachable(folder, user[0])
        files.make_cluster(self._data, launcher, log)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def program(self, port: int) -> Program:
        """How to start it on `port`. Settings are on the command line: files may be replaced."""
        self._port = port
        settings = {
            "listen_addresses": LOOPBACK,
            "port": port,
            "unix_socket_directories": self._folder,
            "max_connections": self._connections,
            "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap",  # in the data folder, so nothing outlives it
            "huge_pages": "off",
            "io_method": "sync",  # one process less to start and to end; the data is in memory
            "jit": "off",
            "update_process_title": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            argv=(self._files.program("postgres"), "-D", str(self._data), *options),
            env=POSTGRES_ENVIRONMENT,
            port_when_ready=lambda pid: port if self._accepts(pid) else None,
            unprivileged=True,
            stop_signal=signal.SIGINT,  # "fast": on SIGTERM it waits until its clients have left
            leave_signal=signal.SIGQUIT,  # without a last checkpoint: the data folder goes too
            end_signal=signal.SIGQUIT,
        )

    def make_roles(self) -> None:
        """Let the service and the auditor in, with the run's passwords. It must be running.

        Raises:
            EnvironmentBroke: with what `psql` said.
        """
        argv = [
            self._files.program("psql"),
            *("-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-h", str(self._folder)),
            *("-p", str(self._port), "-U", OWNER, "-d", DATABASE),
        ]
        try:
            done = subprocess.run(
                argv,
                input=self._roles.statements(),
                env=POSTGRES_ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=_SQL_S,
                start_new_session=True,  # Ctrl-C is for the harness
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentBroke(f"the database's roles cannot be made: {error}") from error
        if done.returncode != 0:
            raise EnvironmentBroke(f"the database's roles cannot be made: {done.stderr.strip()}")

    def url(self, role: str, address: str) -> str:
        """A database URL for `role` at ``host:port``. It holds the role's password."""
        return self._roles.url(role, address)

    def _accepts(self, pid: int) -> bool:
        """Its lock file says so on the eighth line; the first says whether it is this process's."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def check_reachable(folder: Path, uid: int) -> None:
    """Raise when another user could not get to `folder`: PostgreSQL's own message is obscure."""
    for parent in folder.resolve().parents:
        status = parent.stat()
        if not status.st_mode & 0o001 and status.st_uid != uid:
            raise EnvironmentBroke(
                f"the database cannot run as an unprivileged user below {parent}, which is closed "
                "to others: set TMPDIR to a folder that they may enter, such as /tmp"
            )

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
    run_to_end,
)
from payresil.backends.embedded.postgres_roles import REPLICATOR, Roles, connections_for
from payresil.backends.embedded.program import Program
from payresil.backends.embedded.replication import membership as replicating
from payresil.backends.embedded.replication.membership import Membership
from payresil.backends.launcher import unprivileged_user
from payresil.backends.ports import LOOPBACK
from payresil.core.protocols import EnvironmentBroke, Launcher

_SQL_S = 30.0
_RECOVER_S = 60.0
_COPY_S = 60.0


class Postgres:
    """One database node: its folder, how to start it, and its roles.

    Durability is left as PostgreSQL has it: a commit is acknowledged when it is on disk.
    """

    def __init__(
        self,
        folder: Path,
        files: PostgresFiles,
        launcher: Launcher,
        log: Path,
        *,
        instances: int,
        membership: Membership | None = None,
    ) -> None:
        """Make an empty cluster in `folder`, which becomes the property of who will run it.

        `membership` is of one that replicates. `instances` are those of all regions then: a
        standby must take as many connections as its primary.

        Raises:
            EnvironmentBroke: when that fails.
        """
        self._folder = folder
        self._files = files
        self._launcher = launcher
        self._log = log
        self._connections = connections_for(instances)
        self._port = 0
        self._membership = membership
        self._roles = Roles() if membership is None else membership.roles
        make_private(folder)
        if membership is not None:
            self.write(self._password_file, self._roles.password_file(REPLICATOR))
        if membership is None or not membership.empty:
            files.make_cluster(self.data, launcher, log)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._folder / "data"

    def program(self, port: int) -> Program:
        """How to start it on `port`. Settings are on the command line: files may be replaced."""
        self._port = port
        return Program(
            argv=(self._files.program("postgres"), "-D", str(self.data), *self._options()),
            env=self._environment,
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

    def run(self, what: str, program: str, *arguments: str, timeout_s: float) -> None:
        """Run one of PostgreSQL's programs to its end, as the database's user.

        It comes in elsewhere as the replicator. What it says goes to the database's log.

        Raises:
            EnvironmentBroke: with its last words, when it fails or takes longer than that.
        """
        argv = [self._files.program(program), *arguments]
        run_to_end(self._launcher, self._log, what, argv, timeout_s, env=self._environment)

    def copy_in(self, cluster: Path) -> None:
        """Fill an empty member with a copy of a data folder.

        Raises:
            EnvironmentBroke: when that fails.
        """
        argv = ["cp", "-R", str(cluster), str(self.data)]
        run_to_end(self._launcher, self._log, "copying a base backup", argv, _COPY_S)

    def recover(self) -> None:
        """Replay what a crash left in the log, without letting anybody in. It must not be running.

        Raises:
            EnvironmentBroke: with its last words, when it cannot be done.
        """
        arguments = ("--single", "-D", str(self.data), *self._options(), DATABASE)
        self.run("recovering a database", "postgres", *arguments, timeout_s=_RECOVER_S)

    def write(self, path: Path, text: str) -> None:
        """Write a file that the database's user, and nobody else, can read and replace."""
        write_private(path, text)

    def _options(self) -> list[str]:
        settings: dict[str, object] = {
            "listen_addresses": LOOPBACK,
            "port": self._port,
            "unix_socket_directories": self._folder,
            "max_connections": self._connections,
            "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap",  # in the data folder, so nothing outlives it
            "huge_pages": "off",
            "io_method": "sync",  # one process less to start and to end; the data is in memory
            "jit": "off",
            "update_process_title": "off",
        }
        if self._membership is not None:
            settings |= replicating.settings(self._membership.name)
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    @property
    def _password_file(self) -> Path:
        return self._folder / "passwords"

    @property
    def _environment(self) -> dict[str, str]:
        """With a file of passwords for libpq: none is in a setting, a log or an argument."""
        if self._membership is None:
            return POSTGRES_ENVIRONMENT
        return {**POSTGRES_ENVIRONMENT, "PGPASSFILE": str(self._password_file)}

    def _accepts(self, pid: int) -> bool:
        """Its lock file says so on the eighth line; the first says whether it is this process's."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def make_private(folder: Path) -> None:
    """Make a folder of the database's user that is closed to others.

    Raises:
        EnvironmentBroke: when that user could not get to it.
    """
    folder.mkdir(mode=0o700)
    own(folder)
    user = unprivileged_user()
    if user is not None:
        check_reachable(folder, user[0])


def write_private(path: Path, text: str) -> None:
    """Write a file that the database's user, and nobody else, can read and replace."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
    own(path)


def own(path: Path) -> None:
    """Make the database's user the owner of a file or folder."""
    user = unprivileged_user()
    if user is not None:
        os.chown(path, *user)


def check_reachable(folder: Path, uid: int) -> None:
    """Raise when another user could not get to `folder`: PostgreSQL's own message is obscure."""
    for parent in folder.resolve().parents:
        status = parent.stat()
        if not status.st_mode & 0o001 and status.st_uid != uid:
            raise EnvironmentBroke(
                f"the database cannot run as an unprivileged user below {parent}, which is closed "
                "to others: set TMPDIR to a folder that they may enter, such as /tmp"
            )

"""The archive: pulls the write-ahead log of a database into a folder, and keeps a base backup."""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from payresil.backends.embedded.postgres import make_private, own, write_private
from payresil.backends.embedded.postgres_files import (
    POSTGRES_ENVIRONMENT,
    PostgresFiles,
    run_to_end,
)
from payresil.backends.embedded.postgres_roles import REPLICATOR, Roles
from payresil.backends.embedded.program import Program
from payresil.backends.embedded.replication.manifest import read_manifest
from payresil.backends.embedded.replication.membership import standby_name
from payresil.backends.embedded.replication.positions import (
    PARTIAL,
    Lineage,
    log_files,
    lsn,
    segments,
    timeline_of,
)
from payresil.backends.embedded.replication.questions import ask
from payresil.backends.embedded.replication.reading import Log, read_log
from payresil.backends.embedded.replication.standby import conninfo
from payresil.core.protocols import EnvironmentBroke, Launcher

_BACKUP_S = 60.0
_READ_S = 60.0
_RECEIVE_S = 10.0
_POLL_S = 0.05

#: It comes again after this long when its source has gone; by itself it would take 5 s.
_AGAIN = 'while :; do "$@"; sleep 0.2; done'


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """When it was taken (wall clock, Unix time) and the part of the log that it needs."""

    start_us: int
    stop_us: int
    timeline: int
    start: int
    stop: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Archived:
    """What an archive holds; positions in the log are bytes."""

    timeline: int
    received: int
    last_us: int | None  # wall clock of the last transaction that ended in it, Unix time
    base: BaseBackup


class Archive:
    """One archive. It streams as a standby does, so it is never a whole segment behind."""

    def __init__(
        self,
        folder: Path,
        files: PostgresFiles,
        launcher: Launcher,
        log: Path,
        *,
        name: str,
        roles: Roles,
        source: str,
    ) -> None:
        """Make an empty one in `folder`.

        `name` is the node's, `roles` are the databases' and `source` is the ``host:port`` that it
        pulls from.

        Raises:
            EnvironmentBroke: when the folder cannot be used.
        """
        self._files = files
        self._launcher = launcher
        self._log = log
        self._name = name
        self._roles = roles
        self._source = source
        self._folder = folder
        self._base: BaseBackup | None = None
        make_private(folder)
        for each in (self.wal, self._set_aside):
            make_private(each)
        write_private(self._password_file, roles.password_file(REPLICATOR))

    @property
    def wal(self) -> Path:
        """The folder with the log."""
        return self._folder / "wal"

    @property
    def base(self) -> Path:
        """The folder with the base backup, when one was taken."""
        return self._folder / "base"

    def program(self, port: int) -> Program:
        """How to start what pulls the log. It listens nowhere: `port` is handed back at once."""
        pull = (
            self._files.program("pg_receivewal"),
            f"--dbname={conninfo(self._source)} application_name={standby_name(self._name)}",
            f"--directory={self.wal}",
            "--no-loop",
            "--synchronous",  # on disk, and told so to the source, as it comes
            "--status-interval=1",
        )
        return Program(
            argv=("sh", "-c", _AGAIN, "sh", *pull),
            env=self._environment,
            port_when_ready=lambda _: port,
            unprivileged=True,
            stop_signal=signal.SIGTERM,
        )

    def pull_from(self, source: str) -> list[str]:
        """Have it pull from another database, at ``host:port``, when it is started next.

        It must not be running. Files with what the new source never had would be in its way; they
        are kept in the folder ``aside``, and their names returned.

        Raises:
            Unreachable: when the source does not answer.
        """
        lineage = _lineage_at(self._roles.url(REPLICATOR, source))
        self._source = source
        foreign = [
            file for file, segment in segments(self.wal).items() if not lineage.holds(segment)
        ]
        known = {lineage.timeline, *(timeline for timeline, _ in lineage.ended)}
        foreign += [
            file
            for file in self.wal.iterdir()
            if (timeline := timeline_of(file.name)) is not None and timeline not in known
        ]
        for file in foreign:
            file.rename(self._set_aside / file.name)
        return [file.name for file in foreign]

    def take_base_backup(self) -> BaseBackup:
        """Copy the source, in place of the base backup that there was. The log must be pulled.

        Raises:
            EnvironmentBroke: with the program's last words.
        """
        draft = self._folder / "base.draft"
        shutil.rmtree(draft, ignore_errors=True)
        start_us = _now_us()
        argv = [
            self._files.program("pg_basebackup"),
            f"--dbname={conninfo(self._source)}",
            f"--pgdata={draft}",
            "--wal-method=none",  # that is what is pulled anyway
            "--checkpoint=fast",
            "--manifest-checksums=SHA256",
            "--no-sync",  # processes are killed here, the machine never is
        ]
        run_to_end(
            self._launcher, self._log, "a base backup", argv, _BACKUP_S, env=self._environment
        )
        manifest = read_manifest(draft)
        shutil.rmtree(self.base, ignore_errors=True)
        draft.rename(self.base)
        self._base = BaseBackup(
            start_us,
            _now_us(),
            manifest.timeline,
            manifest.start,
            manifest.stop,
            manifest.files,
            manifest.size_bytes,
        )
        return self._base

    @property
    def backup(self) -> BaseBackup:
        """The base backup.

        Raises:
            EnvironmentBroke: when none was taken.
        """
        if self._base is None:
            raise EnvironmentBroke(f"{self._name} has no base backup: take one first")
        return self._base

    def standing(self) -> Archived:
        """What it holds now, from the base backup on. Reads the log: takes longer the more it is.

        Raises:
            EnvironmentBroke: when there is no base backup, or the log from there on has a hole.
        """
        log = self.read(self._folder / "read")
        return Archived(log.timeline, log.end, log.last_us, self.backup)

    def await_received(self, position: int, within_s: float = _RECEIVE_S) -> Archived:
        """Wait until it holds the log up to a position; returns what it holds then.

        Raises:
            BackupDamaged: when that is because of what it holds.
            EnvironmentBroke: when it does not in time, saying why.
        """
        deadline_s = time.monotonic() + within_s
        while True:
            kind = EnvironmentBroke
            try:
                archived = self.standing()
                if archived.received >= position:
                    return archived
                why = f"it holds the log up to {lsn(archived.received)}"
            except EnvironmentBroke as error:
                why, kind = str(error), type(error)
            if time.monotonic() > deadline_s:
                raise kind(
                    f"{self._name} has not received the log up to {lsn(position)} "
                    f"within {within_s:g} s: {why}"
                )
            time.sleep(_POLL_S)

    def read(self, copy: Path) -> Log:
        """Copy the log into the folder `copy`, in the form that recovery takes, and read it.

        Raises:
            EnvironmentBroke: when it has a hole after the base backup, or is damaged.
        """
        base = self.backup
        shutil.rmtree(copy, ignore_errors=True)
        make_private(copy)
        for name in log_files(self.wal):
            self._copy(name, copy / name)
        log = read_log(copy, base.timeline, base.start, self._dump)
        if log.end < base.stop:
            raise EnvironmentBroke(f"{self._name} has not got all of the log that its backup needs")
        return log

    def _copy(self, name: str, copy: Path) -> None:
        """Complete files never change; a partial one is still being written."""
        if not (self.wal / name).exists():
            try:
                shutil.copyfile(self.wal / f"{name}{PARTIAL}", copy)
                own(copy)
                return
            except FileNotFoundError:
                pass  # it has just been completed, and renamed
        copy.hardlink_to(self.wal / name)

    @property
    def _set_aside(self) -> Path:
        return self._folder / "aside"

    @property
    def _password_file(self) -> Path:
        return self._folder / "passwords"

    @property
    def _environment(self) -> dict[str, str]:
        return {**POSTGRES_ENVIRONMENT, "PGPASSFILE": str(self._password_file)}

    def _dump(self, arguments: list[str]) -> str:
        """What `pg_waldump` says. It always fails: a log ends where nothing more was written."""
        output = self._folder / "waldump"
        output.unlink(missing_ok=True)
        argv = [self._files.program("pg_waldump"), *arguments]
        process = self._launcher.spawn(
            "reading the log", argv, env=POSTGRES_ENVIRONMENT, log=output, unprivileged=True
        )
        if process.wait(_READ_S) is None:
            process.signal(signal.SIGKILL)
            raise EnvironmentBroke(f"{self._name}: reading the log took longer than {_READ_S:g} s")
        return output.read_text()


def _lineage_at(url: str) -> Lineage:
    """The timelines of a database, from the files of its log."""
    rows = ask(
        url,
        "select name, convert_from(pg_read_binary_file('pg_wal/' || name), 'UTF8') as text "
        "from pg_ls_dir('pg_wal', true, false) as name where name like '%.history'",
    )
    return Lineage.of([(row["name"], row["text"]) for row in rows])


def _now_us() -> int:
    return time.time_ns() // 1000

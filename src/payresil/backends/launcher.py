"""The harness's side of the supervisor: starts processes that cannot outlive the harness."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from payresil.backends import supervisor
from payresil.core.protocols import EnvironmentBroke, Process

#: Who runs what must not run as root. Every Linux distribution has this user.
UNPRIVILEGED_USER = "nobody"

_ANSWER_S = 10.0
_END_S = supervisor.QUIET_END_S + supervisor.KILLED_END_S + 3.0
_GONE = "the supervisor process is gone, and every node with it"


def unprivileged_user() -> tuple[int, int] | None:
    """User and group for what must not run as root; None when the caller is not root.

    Raises:
        EnvironmentBroke: when the machine has no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise EnvironmentBroke(
            f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED_USER!r} to run "
            "it as: add one, or run payresil as another user"
        ) from None
    return entry.pw_uid, entry.pw_gid


class Supervised:
    """A process under the supervisor; `core.protocols.Process`."""

    def __init__(
        self, name: str, owner: Supervisor, on_exit: Callable[[Process], None] | None
    ) -> None:
        """Made by `Supervisor.spawn`, which sets `pid`."""
        self.name = name
        self.pid = 0
        self._owner = owner
        self._on_exit = on_exit
        self._ended = threading.Event()
        self._status: int | None = None

    @property
    def status(self) -> int | None:
        """Exit status (negative: the signal that ended it), None while it runs."""
        return self._status

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended.

        Raises:
            EnvironmentBroke: when the supervisor is gone.
        """
        if self._status is None:
            self._owner.ask("signal", pid=self.pid, number=int(number))

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, or None when it still runs after `timeout_s` seconds."""
        self._ended.wait(timeout_s)
        return self._status

    def has_ended(self, status: int) -> None:
        """Told by the owner when it is so."""
        self._status = status
        self._ended.set()
        if self._on_exit is not None:
            self._on_exit(self)


class Supervisor:
    """`core.protocols.Launcher` over one supervisor process; usable from several threads.

    When the harness dies, however it dies, the supervisor ends everything. Do not fork the harness
    without exec: the copy would hold the socket that tells the supervisor so.
    """

    def __init__(self, channel: socket.socket, child: subprocess.Popen[bytes]) -> None:
        """Use `started`."""
        self._channel = channel
        self._child = child
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._asked: dict[int, tuple[Future[dict[str, Any]], Supervised | None]] = {}
        self._running: dict[int, Supervised] = {}
        self._gone = False
        self._reader = threading.Thread(target=self._listen, name="supervisor", daemon=True)
        self._reader.start()

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Supervisor]:
        """Start the supervisor process; at the end it ends everything that it started.

        Raises:
            EnvironmentBroke: when it cannot be started.
        """
        ours, theirs = socket.socketpair()
        fd = theirs.fileno()
        program = [sys.executable, "-I", "-S", supervisor.__file__, str(fd), str(os.getpid())]
        try:
            # A session of its own: Ctrl-C in the terminal is for the harness alone.
            child = subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[fd],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise EnvironmentBroke(f"the supervisor cannot be started: {error}") from error
        finally:
            theirs.close()
        launcher = cls(ours, child)
        try:
            yield launcher
        finally:
            launcher._close()

    @property
    def pid(self) -> int:
        """The supervisor's own process."""
        return self._child.pid

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        unprivileged: bool = False,
        end_signal: int = signal.SIGKILL,
        on_exit: Callable[[Process], None] | None = None,
        folder: Path | None = None,
    ) -> Supervised:
        """Start a program; `core.protocols.Launcher` says what the arguments are.

        Raises:
            EnvironmentBroke: when there is no such program or it cannot be started.
        """
        process = Supervised(name, self, on_exit)
        answer = self.ask(
            "spawn",
            process,
            argv=list(argv),
            env=dict(env),
            log=str(log),
            user=unprivileged_user() if unprivileged else None,
            end_signal=int(end_signal),
            folder=None if folder is None else str(folder),
        )
        if "error" in answer:
            raise EnvironmentBroke(f"{name} cannot be started: {answer['error']}")
        return process

    def sweep(self, folder: Path) -> None:
        """Have `folder` removed at the end, also when the harness dies."""
        self.ask("sweep", folder=str(folder.resolve()))

    def ask(
        self, do: str, process: Supervised | None = None, /, **arguments: Any
    ) -> dict[str, Any]:
        """Send a request and wait for its answer; `process` is what the answer brings to life.

        Raises:
            EnvironmentBroke: when the supervisor is gone or does not answer.
        """
        number = next(self._ids)
        line = json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n"
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._gone:
                raise EnvironmentBroke(_GONE)
            self._asked[number] = future, process
            try:
                self._channel.sendall(line)
            except OSError as error:
                raise EnvironmentBroke(_GONE) from error
        try:
            return future.result(_ANSWER_S)
        except TimeoutError:
            raise EnvironmentBroke(f"the supervisor did not answer in {_ANSWER_S:g} s") from None

    def _listen(self) -> None:
        try:
            with suppress(OSError), self._channel.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        finally:  # whoever waits must not wait for ever, even when a callback raised
            self._lost()

    def _hear(self, message: dict[str, Any]) -> None:
        if "exited" in message:
            process = self._running.pop(message["exited"])
            process.has_ended(message["status"])
            return
        with self._lock:
            future, started = self._asked.pop(message["id"])
        if started is not None and "pid" in message:
            started.pid = message["pid"]
            self._running[started.pid] = started
        future.set_result(message)

    def _lost(self) -> None:
        """The supervisor has ended, and with it everything it started."""
        with self._lock:
            self._gone = True
            waiting, self._asked = self._asked, {}
        for future, _ in waiting.values():
            future.set_exception(EnvironmentBroke(_GONE))
        for process in tuple(self._running.values()):
            process.has_ended(-signal.SIGKILL)
        self._running.clear()

    def _close(self) -> None:
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()  # the kernel kills what it started with it
            self._child.wait()
        self._reader.join()
        self._channel.close()

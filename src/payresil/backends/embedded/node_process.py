"""A node that is a process: started, watched, paused, killed, and started again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from payresil.backends.embedded.program import Program
from payresil.backends.ports import LOOPBACK
from payresil.core.protocols import EnvironmentBroke, Launcher, Process

#: Seconds that a node may take until it serves. Most take a few tenths; a busy machine is slow.
START_S = 20.0

#: Seconds that a node gets to end in order, before it is killed.
STOP_S = 5.0

_POLL_S = 0.01
_LAST_LINES = 12

#: ``(kind, name, what, **detail)``, into the events table.
Report = Callable[..., None]


class NodeProcess:
    """One node. `port` is 0 until it serves, and stays the same when it is started again."""

    def __init__(
        self,
        name: str,
        program: Callable[[int], Program],
        *,
        launcher: Launcher,
        log: Path,
        report: Report,
        port: int = 0,
    ) -> None:
        """`program` says how to start it on a port; 0 is for any free one."""
        self.name = name
        self.port = port
        self.log = log
        self._program = program
        self._launcher = launcher
        self._report = report
        self._current: Program | None = None
        self._process: Process | None = None
        self._told_to_end = False
        self._started_s = 0.0

    @property
    def address(self) -> str:
        """``host:port`` that it serves on."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def upstream(self) -> str:
        """Where its links reach it: links are on this machine too."""
        return self.address

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.status is None

    def launch(self) -> None:
        """Start it without waiting until it serves.

        Raises:
            EnvironmentBroke: when there is no such program.
        """
        self._process = None  # or the one before would seem to have ended by itself
        self._told_to_end = False
        self._started_s = time.monotonic()
        self._current = self._program(self.port)
        self._process = self._launcher.spawn(
            self.name,
            self._current.argv,
            env=self._current.env,
            log=self.log,
            unprivileged=self._current.unprivileged,
            end_signal=self._current.end_signal,
            folder=self._current.folder,
            on_exit=self._exited,
        )

    def await_ready(self) -> None:
        """Wait until it serves.

        Raises:
            EnvironmentBroke: with its last log lines, when it ended or took too long.
        """
        process, program = self._launched()
        while (port := program.port_when_ready(process.pid)) is None:
            if process.wait(_POLL_S) is not None:
                raise EnvironmentBroke(self._obituary("ended while it was being started"))
            if time.monotonic() - self._started_s > START_S:
                raise EnvironmentBroke(self._obituary(f"did not serve within {START_S:g} s"))
        self.port = port
        seconds = round(time.monotonic() - self._started_s, 3)
        self._report("node", self.name, "started", pid=process.pid, port=port, seconds=seconds)

    def kill(self) -> None:
        """End it at once, as a crash would; returns when all of it is gone."""
        process, _ = self._launched()
        self._told_to_end = True
        process.signal(signal.SIGKILL)
        self._report("node", self.name, "killed", pid=process.pid)

    def stop(self) -> None:
        """End it in order, as a deployment does; returns when it has ended.

        It is killed, which is reported, when it has not ended after `STOP_S` seconds.
        """
        process, program = self._launched()
        began_s = time.monotonic()
        self._ask_to_end(process, program.stop_signal)
        if process.wait(STOP_S) is None:
            self._end_by_force(process)
        seconds = round(time.monotonic() - began_s, 3)
        self._report("node", self.name, "stopped", pid=process.pid, seconds=seconds)

    def pause(self) -> None:
        """Stop all of it in its tracks."""
        self._launched()[0].signal(signal.SIGSTOP)
        self._report("node", self.name, "paused")

    def resume(self) -> None:
        """Let it go on."""
        self._launched()[0].signal(signal.SIGCONT)
        self._report("node", self.name, "resumed")

    def ask_to_leave(self) -> None:
        """Ask for an orderly end after which it is not started again, if it runs."""
        if self._process is None or self._current is None or not self.running:
            return
        self._ask_to_end(self._process, self._current.leave_signal or self._current.stop_signal)

    def await_leave(self, deadline_s: float) -> None:
        """Wait until `deadline_s` (monotonic) for it to end, then kill it."""
        if self._process is None:
            return
        if self._process.wait(max(0.0, deadline_s - time.monotonic())) is None:
            self._end_by_force(self._process)

    def check(self) -> None:
        """Raise when it ended and nobody told it to.

        Raises:
            EnvironmentBroke: with its last log lines.
        """
        if self._process is not None and not self.running and not self._told_to_end:
            raise EnvironmentBroke(self._obituary("ended by itself"))

    def _ask_to_end(self, process: Process, number: int) -> None:
        self._told_to_end = True
        process.signal(signal.SIGCONT)  # a paused process hears nothing else
        process.signal(number)

    def _end_by_force(self, process: Process) -> None:
        process.signal(signal.SIGKILL)
        self._report("node", self.name, "killed", reason="it did not stop when asked to")

    def _launched(self) -> tuple[Process, Program]:
        if self._process is None or self._current is None:
            raise EnvironmentBroke(f"{self.name} was never started")
        return self._process, self._current

    def _exited(self, process: Process) -> None:
        if not self._told_to_end:
            self._report("node", self.name, "exited", status=process.status)

    def _obituary(self, what: str) -> str:
        status = None if self._process is None else self._process.status
        how = "" if status is None else f" (status {describe_status(status)})"
        words = "\n".join(f"  {line}" for line in last_lines(self.log))
        return f"{self.name} {what}{how}. The end of {self.log.name}:\n{words or '  (empty)'}"


def describe_status(status: int) -> str:
    """An exit status as people say it: ``1``, ``SIGKILL``."""
    if status >= 0:
        return str(status)
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def last_lines(log: Path, count: int = _LAST_LINES) -> list[str]:
    """The last lines of a log, read from its end: it may be huge."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 400 * count))
        return file.read().decode(errors="replace").splitlines()[-count:]

"""A node that is a container: made, watched, paused, killed, and started again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import docker.errors
from docker.models.containers import Container

from payresil.backends.containers.dock import Dock
from payresil.backends.containers.engine import asked, reason
from payresil.backends.containers.networks import alias
from payresil.backends.containers.recipe import Recipe
from payresil.backends.containers.watching import Watch
from payresil.backends.embedded.node_process import STOP_S, describe_status, last_lines
from payresil.backends.ports import HeldPort
from payresil.core.protocols import EnvironmentBroke

#: Seconds that a container may take until it serves. A database first makes its files.
START_S = 60.0

_GONE_S = 15.0
_POLL_S = 0.03

#: Seconds in which a container must come to a halt, and what runc says when it did not.
_FREEZE_S = 5.0
_NOT_FROZEN = "unable to freeze"


class ContainerNode:
    """`embedded.parts.Part` as a container. It keeps its files and its published ports."""

    def __init__(
        self,
        name: str,
        make: Callable[[], tuple[Container, Recipe]],
        *,
        dock: Dock,
        port: int,
        published: Mapping[int, HeldPort],
        ready: Callable[[], bool],
    ) -> None:
        """`make` makes and starts it, once; `published` is by port in the container.

        `port` is what its links connect to, in its network; `ready` says whether it serves.
        """
        self.name = name
        self.log = dock.logs / f"{name.replace('/', '.')}.log"
        self.memory_limited = False
        self._make = make
        self._dock = dock
        self._port = port
        self._published = published
        self._ready = ready
        self._made: tuple[Container, Recipe] | None = None
        self._starting: Future[None] | None = None
        self._watch = Watch()
        self._paused = False
        self._told_to_end = False
        self._started_s = 0.0
        self._up_s = 0.0

    @property
    def address(self) -> str:
        """``host:port`` of the first port that it publishes."""
        return self.published(next(iter(self._published)))

    @property
    def upstream(self) -> str:
        """Where Toxiproxy reaches it, in its network."""
        return f"{alias(self.name)}:{self._port}"

    def published(self, port: int) -> str:
        """``host:port`` at which the harness reaches one of its ports."""
        return f"{self._dock.settings.address}:{self._published[port].number}"

    def in_network(self, url: str) -> str:
        """The same URL as others in its network have it, where it names a published port."""
        parts = urlsplit(url)
        (inside,) = (port for port, held in self._published.items() if held.number == parts.port)
        return parts._replace(netloc=f"{alias(self.name)}:{inside}").geturl()

    @property
    def container(self) -> Container:
        """The container, which is there once it was launched and awaited.

        Raises:
            EnvironmentBroke: when it is not there.
        """
        return self._there()[0]

    @property
    def running(self) -> bool:
        """Whether its processes are there."""
        return self._made is not None and not self._watch.ended

    @property
    def ended_by_limit(self) -> bool:
        """Whether the kernel ended it for want of memory, since it was limited."""
        return self.memory_limited and self._watch.out_of_memory

    def launch(self) -> None:
        """Start it without waiting until it serves, or until the engine has started it."""
        self._told_to_end = False
        self._paused = False
        self._watch = Watch()
        self._started_s = time.monotonic()
        self._starting = self._dock.pool.submit(self._start)

    def await_ready(self) -> None:
        """Wait until it serves.

        Raises:
            EnvironmentBroke: when it cannot be started; with its last log lines, when it ended or
                took too long.
        """
        container, _ = self._there()
        while not self._ready():
            if self._watch.wait(_POLL_S):
                raise EnvironmentBroke(self._obituary("ended while it was being started"))
            if time.monotonic() - self._up_s > START_S:
                raise EnvironmentBroke(self._obituary(f"did not serve within {START_S:g} s"))
        with asked(f"{self.name} cannot be looked at"):
            container.reload()
        self._dock.report(
            "node",
            self.name,
            "started",
            pid=container.attrs["State"]["Pid"],
            container=container.short_id,
            port=self._port,
            seconds=round(time.monotonic() - self._started_s, 3),
        )

    def kill(self) -> None:
        """End it at once, as a crash would; returns when all of it is gone."""
        self._there()
        self._told_to_end = True
        self._send(signal.SIGKILL)
        self._await_end()
        self._dock.report("node", self.name, "killed")

    def stop(self) -> None:
        """End it in order, as a deployment does; returns when it has ended.

        It is killed, which is reported, when it has not ended after `STOP_S` seconds.
        """
        _, recipe = self._there()
        began_s = time.monotonic()
        self._ask_to_end(recipe.stop_signal)
        if not self._watch.wait(STOP_S):
            self._end_by_force()
        seconds = round(time.monotonic() - began_s, 3)
        self._dock.report("node", self.name, "stopped", seconds=seconds)

    def pause(self) -> None:
        """Stop all of it in its tracks."""
        self._freeze()
        self._paused = True
        self._dock.report("node", self.name, "paused")

    def _freeze(self) -> None:
        deadline_s = time.monotonic() + _FREEZE_S
        with asked(f"{self.name} cannot be paused"):
            while not self._is_frozen(deadline_s):
                pass

    def _is_frozen(self, deadline_s: float) -> bool:
        """Try to stop all of it. Where a program is just being started in it, runc may give up."""
        try:
            self.container.pause()
        except docker.errors.APIError as error:
            if _NOT_FROZEN not in reason(error) or time.monotonic() > deadline_s:
                raise
            return False
        return True

    def resume(self) -> None:
        """Let it go on."""
        with asked(f"{self.name} cannot be resumed"):
            self.container.unpause()
        self._paused = False
        self._dock.report("node", self.name, "resumed")

    @contextmanager
    def frozen(self) -> Iterator[Container]:
        """Its container, in which nothing moves while the context lasts, be it up or ended.

        Raises:
            EnvironmentBroke: when the engine refuses.
        """
        container = self.container
        if self._paused or not self.running:
            yield container
            return
        self._freeze()
        try:
            yield container
        finally:
            with asked(f"{self.name} cannot be resumed"):
                container.unpause()

    def ask_to_leave(self) -> None:
        """Ask for an orderly end after which it is not started again, if it runs."""
        self._told_to_end = True
        if self._is_up():
            _, recipe = self._there()
            self._ask_to_end(recipe.leave_signal or recipe.stop_signal)

    def await_leave(self, deadline_s: float) -> None:
        """Wait until `deadline_s` (monotonic) for it to end, then kill it."""
        if self._is_up() and not self._watch.wait(max(0.0, deadline_s - time.monotonic())):
            self._end_by_force()

    def check(self) -> None:
        """Raise when it ended and nobody told it to.

        Raises:
            EnvironmentBroke: with its last log lines.
        """
        if self._watch.ended and not self._told_to_end and not self.ended_by_limit:
            raise EnvironmentBroke(self._obituary("ended by itself"))

    def _start(self) -> None:
        if self._made is None:
            self._start_first()
        else:
            self._start_again(self._made[0])
        self._up_s = time.monotonic()

    def _start_again(self, container: Container) -> None:
        with asked(f"{self.name} cannot be started again"):
            words = container.attach(stream=True)  # from before it says anything
            container.start()
        self._follow(container, words)

    def _start_first(self) -> None:
        self._made = container, _ = self._make()
        with asked(f"the log of {self.name} cannot be read"):
            self._follow(container, container.logs(stream=True, follow=True))

    def _follow(self, container: Container, words: Iterable[bytes]) -> None:
        self._watch = Watch.over(container, words, self.log, self._has_ended)

    def _has_ended(self, state: Mapping[str, Any]) -> None:
        if not self._told_to_end:
            status = _status(state)
            detail = {"out_of_memory": True} if state.get("OOMKilled") else {}
            self._dock.report("node", self.name, "exited", status=status, **detail)

    def _is_up(self) -> bool:
        """Whether it runs, once it is no longer being started."""
        if self._starting is not None:
            self._starting.exception()
        return self.running

    def _there(self) -> tuple[Container, Recipe]:
        if self._starting is None:
            raise EnvironmentBroke(f"{self.name} was never started")
        self._starting.result()
        if self._made is None:
            raise EnvironmentBroke(f"{self.name} was not made")
        return self._made

    def _ask_to_end(self, number: signal.Signals) -> None:
        self._told_to_end = True
        if self._paused:  # it hears nothing
            self.resume()
        self._send(number)

    def _end_by_force(self) -> None:
        self._send(signal.SIGKILL)
        self._await_end()
        words = "it did not stop when asked to"
        self._dock.report("node", self.name, "killed", reason=words)

    def _send(self, number: signal.Signals) -> None:
        with asked(f"{number.name} cannot be sent to {self.name}"):
            try:
                self.container.kill(number.name)
            except docker.errors.APIError as error:
                if "is not running" not in reason(error):
                    raise

    def _await_end(self) -> None:
        if not self._watch.wait(_GONE_S):
            raise EnvironmentBroke(f"{self.name} was killed {_GONE_S:g} s ago and is still there")

    def _obituary(self, what: str) -> str:
        status = _status(self._watch.state) if self._watch.ended else None
        how = "" if status is None else f" (status {describe_status(status)})"
        words = "\n".join(f"  {line}" for line in last_lines(self.log))
        return f"{self.name} {what}{how}. The end of {self.log.name}:\n{words or '  (empty)'}"


def _status(state: Mapping[str, Any]) -> int:
    """The exit status; negative where a signal ended it, as of processes."""
    code = int(state.get("ExitCode", 0))
    return 128 - code if code > 128 else code

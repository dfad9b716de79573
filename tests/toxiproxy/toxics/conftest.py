"""A pipeline on a virtual clock."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import pytest

from payresil.toxiproxy import toxics
from payresil.toxiproxy.link import Link
from payresil.toxiproxy.registry import Toxic
from payresil.toxiproxy.stream import Data, End
from payresil.toxiproxy.toxicset import Direction, InstalledToxic

T = TypeVar("T")

toxics.load()


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, moves the clock of its loop on."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits and nothing is scheduled")
        self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour takes no time."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class Pipeline:
    """A link between a source that obeys and a sink that writes down what it gets, and when."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = loop.time
        self.full = False
        self.paused = False
        self.was_reset = False
        self.failures: list[BaseException] = []
        self.received: list[tuple[float, bytes]] = []
        self.ends: list[tuple[float, End]] = []
        self.installed: list[InstalledToxic] = []
        self.forward: Callable[[Data], None] = self.write
        self.link = Link(self, source=self, sink=self)

    # The source.

    def pause(self) -> None:
        assert not self.paused
        self.paused = True

    def resume(self) -> None:
        assert self.paused
        self.paused = False

    # The sink.

    def write(self, data: Data) -> None:
        assert not self.ends, "data after the end"
        self.received.append((self.clock(), bytes(data)))

    def end(self, how: End) -> None:
        self.ends.append((self.clock(), how))
        if how is End.CLOSE:
            self.link.abandon()

    def set_full(self, full: bool) -> None:
        self.full = full
        self.link.settle()

    # The connection.

    def random(self, toxic: str) -> Random:
        return Random(toxic)

    def reset(self) -> None:
        self.was_reset = True
        self.link.abandon()

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None:
        self.failures.append(failure)

    # What tests do.

    def add(self, toxic: Toxic) -> InstalledToxic:
        name = f"toxic {len(self.installed)}"
        one = InstalledToxic(name, "", "downstream", Direction.DOWNSTREAM, 1.0, toxic)
        self.installed.append(one)
        self.link.plumb(self.installed)
        return one

    def update(self, one: InstalledToxic, toxic: Toxic) -> None:
        one.toxic = toxic
        self.link.plumb(self.installed)

    def remove(self, one: InstalledToxic) -> None:
        self.installed.remove(one)
        self.link.plumb(self.installed)

    @property
    def data(self) -> bytes:
        return b"".join(data for _when, data in self.received)

    @property
    def times(self) -> list[float]:
        return [round(when, 6) for when, _data in self.received]


Scenario = Callable[[Pipeline], Coroutine[Any, Any, T]]


def run_virtual(scenario: Scenario[T]) -> T:
    """Run a scenario against a new pipeline on a new virtual clock."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return await scenario(Pipeline(loop))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


@pytest.fixture(scope="session")
def virtual() -> Callable[[Scenario[Any]], Any]:
    return run_virtual

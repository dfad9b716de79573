"""What holds for every toxic: order, ends, back-pressure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from payresil.toxiproxy.registry import Toxic
from payresil.toxiproxy.stream import End, Stream
from payresil.toxiproxy.toxics.latency import Latency
from payresil.toxiproxy.toxics.noop import Noop
from payresil.toxiproxy.toxics.slow_close import SlowClose

Virtual = Callable[[Any], Any]


def test_no_toxics_is_a_straight_write(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.link.plumb([])
        assert pipe.forward == pipe.write
        pipe.forward(b"at once")
        assert pipe.data == b"at once"

    virtual(scenario)


def test_noop_passes_data_and_the_end(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Noop())
        pipe.forward(b"data")
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(1)
        assert pipe.received == [(0.0, b"data")]
        assert pipe.ends == [(0.0, End.EOF)]

    virtual(scenario)


def test_a_full_sink_holds_the_source_back_and_lets_it_go(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.link.plumb([])
        pipe.set_full(True)
        assert pipe.paused
        slow = pipe.add(Noop())
        assert not pipe.paused, "there is room in front of the toxic"
        while not pipe.paused:
            pipe.forward(b"x" * 1000)
        await asyncio.sleep(1)
        assert pipe.data == b""
        pipe.set_full(False)
        await asyncio.sleep(1)
        assert not pipe.paused
        assert slow.tally.bytes == len(pipe.data)

    virtual(scenario)


def test_many_small_chunks_are_bounded_too(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Latency(latency=60_000))
        sent = 0
        while not pipe.paused:
            pipe.forward(b".")
            sent += 1
        assert sent < 40_000

    virtual(scenario)


def test_a_close_overtakes_an_end_that_waits(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(SlowClose(delay=500))
        pipe.add(SlowClose(delay=500))
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(0.7)
        pipe.link.end_input(End.CLOSE)
        await asyncio.sleep(2)
        assert pipe.ends == [(pytest.approx(1.0), End.CLOSE)]

    virtual(scenario)


def test_a_toxic_that_raises_is_reported(virtual: Virtual) -> None:
    @dataclass(frozen=True)
    class Broken(Toxic):
        async def pipe(self, stream: Stream) -> None:
            raise ArithmeticError("a mistake")

    async def scenario(pipe: Any) -> None:
        pipe.add(Broken())
        await asyncio.sleep(1)
        assert [str(failure) for failure in pipe.failures] == ["a mistake"]

    virtual(scenario)

"""Toxics that lose data or end connections, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from payresil.toxiproxy.stream import End
from payresil.toxiproxy.toxics.limit_data import LimitData
from payresil.toxiproxy.toxics.reset_peer import ResetPeer
from payresil.toxiproxy.toxics.timeout import Timeout

Virtual = Callable[[Any], Any]


def test_timeout_loses_data_and_closes_after_silence(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        lossy = pipe.add(Timeout(timeout=400))
        for _ in range(10):
            pipe.forward(b"lost")
            await asyncio.sleep(0.2)
        assert pipe.ends == []
        await asyncio.sleep(1)
        assert pipe.data == b""
        assert pipe.ends == [(pytest.approx(2.2), End.CLOSE)]
        assert lossy.tally.dropped_bytes == 40
        assert lossy.tally.closed_connections == 1

    virtual(scenario)


def test_timeout_closes_an_idle_connection(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Timeout(timeout=400))
        await asyncio.sleep(1)
        assert pipe.ends == [(pytest.approx(0.4), End.CLOSE)]

    virtual(scenario)


def test_timeout_zero_is_a_black_hole_that_passes_the_end(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Timeout())
        pipe.forward(b"lost")
        await asyncio.sleep(3600)
        assert pipe.ends == []
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(1)
        assert pipe.data == b""
        assert pipe.ends == [(3600.0, End.EOF)]

    virtual(scenario)


def test_black_hole_swallows_even_where_the_sink_is_full(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.set_full(True)
        lossy = pipe.add(Timeout())
        for _ in range(100):
            pipe.forward(b"x" * 10_000)
            await asyncio.sleep(0.001)
        assert lossy.tally.dropped_bytes == 1_000_000
        assert not pipe.paused

    virtual(scenario)


@pytest.mark.parametrize("chunks", [[10, 15], [25], [100], [24, 1, 7], [1] * 30])
def test_limit_data_passes_exactly_so_many_bytes(virtual: Virtual, chunks: list[int]) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(LimitData(bytes=25))
        for size in chunks:
            pipe.forward(b"x" * size)
            await asyncio.sleep(0.01)
        assert len(pipe.data) == 25
        assert [how for _when, how in pipe.ends] == [End.CLOSE]

    virtual(scenario)


def test_limit_data_counts_on_over_an_update(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        limit = pipe.add(LimitData(bytes=100))
        pipe.forward(b"x" * 20)
        await asyncio.sleep(1)
        pipe.update(limit, LimitData(bytes=30))
        pipe.forward(b"x" * 20)
        await asyncio.sleep(1)
        assert len(pipe.data) == 30

    virtual(scenario)


def test_limit_data_zero_closes_on_the_first_chunk(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(LimitData(bytes=0))
        await asyncio.sleep(1)
        assert pipe.ends == []
        pipe.forward(b"x")
        await asyncio.sleep(1)
        assert pipe.data == b""
        assert pipe.ends == [(1.0, End.CLOSE)]

    virtual(scenario)


def test_reset_peer_waits_for_data_then_resets(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        resetting = pipe.add(ResetPeer(timeout=500))
        await asyncio.sleep(10)
        assert not pipe.was_reset
        pipe.forward(b"x")
        await asyncio.sleep(0.4)
        assert not pipe.was_reset
        await asyncio.sleep(0.2)
        assert pipe.was_reset
        assert pipe.data == b""
        assert resetting.tally.closed_connections == 1

    virtual(scenario)

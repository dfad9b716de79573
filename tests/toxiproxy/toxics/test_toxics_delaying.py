"""Toxics that delay, on a virtual clock: what leaves exactly when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from payresil.toxiproxy.stream import End
from payresil.toxiproxy.toxics.bandwidth import Bandwidth
from payresil.toxiproxy.toxics.latency import Latency
from payresil.toxiproxy.toxics.slicer import Slicer
from payresil.toxiproxy.toxics.slow_close import SlowClose

Virtual = Callable[[Any], Any]


def test_latency_is_pipelined_and_does_not_accumulate(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Latency(latency=300))
        for number in range(5):
            pipe.forward(bytes([number]))
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        assert pipe.times == [0.3, 0.4, 0.5, 0.6, 0.7]
        assert pipe.data == bytes(range(5))

    virtual(scenario)


def test_latencies_add_up(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Latency(latency=100))
        pipe.add(Latency(latency=250))
        pipe.forward(b"a")
        await asyncio.sleep(1)
        assert pipe.times == [0.35]

    virtual(scenario)


def test_jitter_keeps_its_bounds_and_the_order(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> list[float]:
        pipe.add(Latency(latency=100, jitter=50))
        for number in range(200):
            pipe.forward(bytes([number]))
            await asyncio.sleep(1)
        delays = [when - start for start, when in enumerate(pipe.times)]
        assert pipe.data == bytes(range(200))
        assert all(0.0495 <= delay <= 0.1505 for delay in delays)
        assert min(delays) < 0.06 < 0.14 < max(delays)
        return delays

    assert virtual(scenario) == virtual(scenario), "the same seed draws the same jitter"


def test_jitter_above_latency_is_clamped_at_none(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Latency(latency=0, jitter=100))
        for _ in range(100):
            pipe.forward(b".")
            await asyncio.sleep(1)
        prompt = sum(when == start for start, when in enumerate(pipe.times))
        assert 30 < prompt < 70

    virtual(scenario)


def test_removing_latency_flushes_and_passes_the_end(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        slow = pipe.add(Latency(latency=60_000))
        pipe.forward(b"one ")
        pipe.forward(b"two")
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(1)
        assert pipe.data == b""
        pipe.remove(slow)
        assert pipe.received == [(1.0, b"one "), (1.0, b"two")]
        assert pipe.ends == [(1.0, End.EOF)]
        assert pipe.forward == pipe.write

    virtual(scenario)


def test_updating_latency_acts_on_what_waits(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        slow = pipe.add(Latency(latency=60_000))
        pipe.forward(b"a")
        await asyncio.sleep(1)
        pipe.update(slow, Latency(latency=1500))
        await asyncio.sleep(1)
        assert pipe.times == [1.5]

    virtual(scenario)


def test_bandwidth_takes_the_time_it_should(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Bandwidth(rate=10))
        pipe.forward(b"x" * 10_000)
        await asyncio.sleep(5)
        assert len(pipe.data) == 10_000
        assert pipe.times == [pytest.approx((n + 1) / 10) for n in range(10)]

    virtual(scenario)


def test_bandwidth_gives_no_credit_for_idling(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Bandwidth(rate=10))
        await asyncio.sleep(10)
        pipe.forward(b"x" * 1000)
        await asyncio.sleep(5)
        assert pipe.times == [pytest.approx(10.1)]

    virtual(scenario)


def test_bandwidth_zero_stalls_and_loses_nothing(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        stalled = pipe.add(Bandwidth(rate=0))
        sent = 0
        while not pipe.paused:
            pipe.forward(b"x" * 1000)
            sent += 1000
        assert sent < 128 * 1024, "the source must be held back"
        await asyncio.sleep(3600)
        assert pipe.data == b""
        pipe.remove(stalled)
        assert len(pipe.data) == sent
        assert not pipe.paused

    virtual(scenario)


def test_slow_close_delays_only_the_end(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(SlowClose(delay=700))
        pipe.forward(b"a")
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(2)
        assert pipe.times == [0.0]
        assert pipe.ends == [(pytest.approx(0.7), End.EOF)]

    virtual(scenario)


def test_removing_slow_close_closes_now(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        slow = pipe.add(SlowClose(delay=60_000))
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(1)
        assert pipe.ends == []
        pipe.remove(slow)
        assert pipe.ends == [(1.0, End.EOF)]

    virtual(scenario)


def test_slicer_cuts_and_paces(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Slicer(average_size=10, size_variation=3, delay=10_000))
        pipe.forward(bytes(range(200)))
        await asyncio.sleep(10)
        assert pipe.data == bytes(range(200))
        sizes = [len(data) for _when, data in pipe.received]
        assert all(7 <= size <= 13 for size in sizes[:-1])
        assert len(set(sizes)) > 1
        assert pipe.times == [pytest.approx(n / 100) for n in range(len(sizes))]

    virtual(scenario)


def test_slicer_in_single_bytes_of_a_large_chunk(virtual: Virtual) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.add(Slicer(average_size=1))
        pipe.forward(b"x" * 50_000)
        await asyncio.sleep(1)
        assert len(pipe.received) == 50_000

    virtual(scenario)

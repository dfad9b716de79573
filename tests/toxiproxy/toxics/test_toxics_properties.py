"""Whatever is done to the toxics of a live connection, no byte is lost, doubled or moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.toxiproxy.registry import Toxic
from payresil.toxiproxy.stream import End
from payresil.toxiproxy.toxics.bandwidth import Bandwidth
from payresil.toxiproxy.toxics.latency import Latency
from payresil.toxiproxy.toxics.limit_data import LimitData
from payresil.toxiproxy.toxics.noop import Noop
from payresil.toxiproxy.toxics.reset_peer import ResetPeer
from payresil.toxiproxy.toxics.slicer import Slicer
from payresil.toxiproxy.toxics.slow_close import SlowClose
from payresil.toxiproxy.toxics.timeout import Timeout

LOSSLESS: st.SearchStrategy[Toxic] = st.one_of(
    st.builds(Noop),
    st.builds(Latency, latency=st.integers(0, 500), jitter=st.integers(0, 500)),
    st.builds(Bandwidth, rate=st.integers(0, 100)),
    st.builds(SlowClose, delay=st.integers(0, 500)),
    st.builds(
        Slicer,
        average_size=st.integers(50, 500),
        size_variation=st.integers(0, 50),
        delay=st.integers(0, 5000),
    ),
)
ANY = st.one_of(
    LOSSLESS,
    st.builds(Timeout, timeout=st.integers(0, 3000)),
    st.builds(LimitData, bytes=st.integers(0, 100_000)),
    st.builds(ResetPeer, timeout=st.integers(0, 3000)),
)


def steps_with(toxics: st.SearchStrategy[Toxic]) -> st.SearchStrategy[list[tuple[str, Any]]]:
    step = st.one_of(
        st.tuples(st.just("send"), st.integers(1, 40_000)),
        st.tuples(st.just("wait"), st.floats(0, 2)),
        st.tuples(st.just("full"), st.booleans()),
        st.tuples(st.just("add"), toxics),
        st.tuples(st.just("update"), st.tuples(st.integers(0), toxics)),
        st.tuples(st.just("remove"), st.integers(0)),
    )
    return st.lists(step, max_size=40)


def _apply(pipe: Any, what: str, argument: Any, payload: bytes) -> None:
    if what == "full":
        pipe.set_full(argument)
    elif what == "add":
        pipe.add(argument)
    elif what == "send" and not pipe.paused:
        pipe.forward(payload)
    elif what == "remove" and pipe.installed:
        pipe.remove(pipe.installed[argument % len(pipe.installed)])
    elif what == "update" and pipe.installed:
        index, toxic = argument
        one = pipe.installed[index % len(pipe.installed)]
        if type(toxic) is type(one.toxic):
            pipe.update(one, toxic)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps_with(LOSSLESS))
def test_lossless_toxics_lose_nothing(
    virtual: Callable[[Any], Any], steps: list[tuple[str, Any]]
) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.link.plumb([])
        sent = b""
        for number, (what, argument) in enumerate(steps):
            if what == "wait":
                await asyncio.sleep(argument)
                continue
            payload = bytes([number % 256]) * argument if what == "send" else b""
            paused = pipe.paused
            _apply(pipe, what, argument, payload)
            sent += b"" if paused else payload
            assert sent.startswith(pipe.data)
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(1)
        pipe.set_full(False)
        while pipe.installed:
            pipe.remove(pipe.installed[0])
        assert pipe.data == sent
        assert [how for _when, how in pipe.ends] == [End.EOF]
        assert not pipe.failures

    virtual(scenario)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps_with(ANY))
def test_any_toxics_invent_nothing_and_end_once(
    virtual: Callable[[Any], Any], steps: list[tuple[str, Any]]
) -> None:
    async def scenario(pipe: Any) -> None:
        pipe.link.plumb([])
        sent = []
        for number, (what, argument) in enumerate(steps):
            if what == "wait":
                await asyncio.sleep(argument)
                continue
            payload = bytes([number + 1]) * argument if what == "send" else b""
            if not pipe.paused:
                sent.append(payload)
            _apply(pipe, what, argument, payload)
        pipe.link.end_input(End.EOF)
        await asyncio.sleep(10)
        order = [value for value, _run in groupby(pipe.data)]
        assert order == sorted(order)
        whole = b"".join(sent)
        assert all(pipe.data.count(number) <= whole.count(number) for number in order)
        assert len(pipe.ends) <= 2
        assert not pipe.failures

    virtual(scenario)

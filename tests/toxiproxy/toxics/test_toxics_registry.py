"""The register of toxics and the ranges of their attributes."""

from __future__ import annotations

import pytest

from payresil.toxiproxy.registry import TOXICS, Toxic, toxic
from payresil.toxiproxy.stream import Stream
from payresil.toxiproxy.toxics.bandwidth import Bandwidth
from payresil.toxiproxy.toxics.latency import Latency
from payresil.toxiproxy.toxics.slicer import Slicer


def test_the_register_holds_the_eight_types() -> None:
    expected = {"latency", "timeout", "reset_peer", "bandwidth", "slow_close", "limit_data"}
    assert set(TOXICS) == expected | {"slicer", "noop"}


def test_two_toxics_of_one_name_are_refused() -> None:
    class Noop(Toxic):
        async def pipe(self, stream: Stream) -> None: ...

    with pytest.raises(ValueError, match="two toxics are called noop"):
        toxic(Noop)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Latency(latency=-1), "latency must not be negative, got -1"),
        (Bandwidth(rate=-5), "rate must not be negative"),
        (Slicer(), "average_size must be at least 1"),
        (Slicer(average_size=10, size_variation=11), "must not be above average_size, 10, got 11"),
    ],
)
def test_attributes_that_make_no_sense(bad: Toxic, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        bad.check()

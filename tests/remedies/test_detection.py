"""When operators have seen enough: a stretch without a break, and no sooner."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.core.protocols import RemedyLog, RemedyStopped
from payresil.core.values import Duration
from payresil.remedies.detection import detect

from .rehearsed import Steps, World


def watch(
    world: World, well: list[tuple[float, bool]], after_s: float, ends_s: float = 60
) -> Steps:
    """Detect on a world that is well or not from given moments on."""
    steps = Steps(world, ends_s)

    def is_well() -> bool:
        return [now for at_s, now in well if at_s <= world.now_s + 1e-9][-1]

    detect(cast(RemedyLog, steps), is_well, Duration(after_s))
    return steps


def test_what_has_been_unwell_for_so_long_is_detected(world: World) -> None:
    steps = watch(world, [(0, True), (5, False)], 1.0)
    assert 6.0 <= world.now_s < 6.25
    assert steps.names == ["detect"]
    assert 1.0 <= steps.found["detect"]["unwell_for_s"] < 1.25
    assert steps.found["detect"]["asked"] > 50


def test_a_break_begins_the_stretch_anew(world: World) -> None:
    watch(world, [(0, True), (5, False), (5.9, True), (6.2, False)], 1.0)
    assert 7.2 <= world.now_s < 7.45


def test_something_unwell_from_the_start_is_detected(world: World) -> None:
    steps = watch(world, [(0, False)], 2.0)
    assert 2.0 <= world.now_s < 2.25
    assert 2.0 <= steps.found["detect"]["unwell_for_s"] < 2.25  # the clock began at zero


def test_at_once_when_no_time_is_asked_for(world: World) -> None:
    steps = watch(world, [(0, False)], 0.0)
    assert world.now_s == 0
    assert steps.found["detect"] == {"asked": 1, "unwell_for_s": 0.0}


def test_a_slow_answer_counts_from_when_it_was_asked_for(world: World) -> None:
    """An operator who waits a second for no answer has seen a second of it."""
    steps = Steps(world)

    def no_answer() -> bool:
        world.advance(1.0)
        return False

    detect(cast(RemedyLog, steps), no_answer, Duration(1.0))
    assert world.now_s == 1.0


def test_a_run_that_ends_first_stops_it(world: World) -> None:
    with pytest.raises(RemedyStopped):
        watch(world, [(0, True)], 1.0, ends_s=10)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0.1, 3), st.booleans()), max_size=12))
def test_never_before_an_unbroken_stretch(
    monkeypatch: pytest.MonkeyPatch, changes: list[tuple[float, bool]]
) -> None:
    world, at_s, well = World(), 0.0, [(0.0, True)]
    monkeypatch.setattr("payresil.remedies.detection.time", world)
    for lasts_s, now in changes:
        at_s += lasts_s
        well.append((at_s, now))
    well.append((at_s + 1, False))
    watch(world, well, 1.0)
    ended = [until_s for (_, now), (until_s, _) in pairwise(well) if now]
    last_well_s = max((each for each in ended if each <= world.now_s), default=0.0)
    assert world.now_s >= last_well_s + 0.85  # it asks every 0.1 s

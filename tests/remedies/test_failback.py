"""The region that was lost takes payments again, with all that was paid in between."""

from __future__ import annotations

from typing import Any

import pytest

from payresil.core.protocols import RemedyFailed, RemedyStopped, Unreachable
from payresil.core.topology import Node

from .rehearsed import Steps, World, rehearse

STEPS = [
    "wait", "decide", "rejoin", "catch_up", "fence", "level", "promote", "switch", "follow",
    "resolve", "reconcile", "backups",
]  # fmt: skip


@pytest.fixture
def failed_over(world: World) -> World:
    """Region b has taken over, and is ahead; a is away until 10 s, with what it had."""
    world.active, world.epoch = "b", 2
    world["b/db"].is_primary, world["b/db"].source = True, None
    world["b/db"].timeline, world["b/db"].received = 2, 3000
    world["a/db"].reachable = world["a/db.2"].reachable = False
    world.at(10.0, lambda: setattr(world["a/db"], "reachable", True))
    world.at(12.0, lambda: setattr(world["a/db.2"], "reachable", True))
    return world


def test_steps_in_their_order(failed_over: World) -> None:
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.names == STEPS
    assert failed_over.done == [
        "snapshot before_rejoin a/db",
        "rejoin a/db b/db",
        "snapshot before_rejoin a/db.2",
        "rejoin a/db.2 b/db",
        "lease a 3",
        "promote a/db",
        "snapshot promoted a/db",
        "replicate a/db asynchronous",
        "switch a",
        "follow a/db.2 a/db",
        "snapshot before_rejoin b/db",
        "rejoin b/db a/db",
        "replicate a/db asynchronous",
        "reconcile a",
        "archive a/db",
    ]
    assert steps.found["fence"]["planned"] is True
    assert steps.found["rejoin"] == {"a/db": "rewound", "a/db.2": "rewound"}
    assert failed_over.active == "a"


def test_it_waits_until_all_of_the_region_answers(failed_over: World) -> None:
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.took_s("wait") == pytest.approx(12.0, abs=0.15)


def test_it_waits_while_the_region_is_active_already(world: World) -> None:
    steps = Steps(world, ends_s=20)
    with pytest.raises(RemedyStopped):
        rehearse(world, "failback", steps, to="a")
    assert steps.failed == ["wait"]
    assert world.done == []


def test_nothing_is_handed_over_before_it_has_caught_up(failed_over: World) -> None:
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.took_s("catch_up") == pytest.approx(2.0, abs=0.1)


def test_what_was_paid_until_the_lease_was_handed_over_arrives_too(failed_over: World) -> None:
    """The active region pays while the lease runs out: that must not be lost."""
    failed_over.lease_held_s = 16.0
    failed_over.at(15.9, lambda: setattr(failed_over["b/db"], "received", 3500))
    steps = rehearse(failed_over, "failback", to="a")
    assert failed_over["a/db"].received == 3500
    assert steps.took_s("level") == pytest.approx(0.4, abs=0.1)


def test_commits_wait_again_for_whom_they_waited_at_first(failed_over: World) -> None:
    failed_over.mode = "synchronous"
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.found["follow"]["mode"] == "synchronous"
    modes = [line for line in failed_over.done if line.startswith("replicate")]
    assert modes == ["replicate a/db asynchronous", "replicate a/db synchronous"]
    assert failed_over.done.index(modes[1]) > failed_over.done.index("rejoin b/db a/db")


def test_a_database_out_of_reach_in_the_end_is_named_and_left(failed_over: World) -> None:
    failed_over.serving.discard("a")

    def served() -> None:
        failed_over.serving.add("a")
        failed_over["b/db"].reachable = False

    failed_over.at(20.0, served)
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.found["follow"]["b/db"] == "left: b/db is away"
    assert steps.found["follow"]["a/db.2"] == "follows"


def test_without_a_primary_to_copy_from_it_fails_before_it_harms_anything(
    failed_over: World,
) -> None:
    failed_over["b/db"].is_primary = False
    with pytest.raises(RemedyFailed, match="region b is active and has no primary"):
        rehearse(failed_over, "failback", to="a")
    assert failed_over.done == []


def test_all_that_region_had_alone_is_written_down_before_it_is_overwritten(
    failed_over: World,
) -> None:
    rehearse(failed_over, "failback", to="a")
    done = failed_over.done
    for node in (Node("a", "db"), Node("a", "db", 2), Node("b", "db")):
        rejoined = next(n for n, line in enumerate(done) if line.startswith(f"rejoin {node} "))
        assert done.index(f"snapshot before_rejoin {node}") == rejoined - 1


def test_what_is_away_for_a_while_while_nobody_is_paid_is_waited_for(failed_over: World) -> None:
    """The lease is taken by then: to give up would leave nobody who takes payments."""
    failed_over.lease_held_s = 16.0
    failed_over.at(15.9, lambda: setattr(failed_over["b/db"], "received", 3500))
    failed_over.at(16.1, lambda: setattr(failed_over["b/db"], "reachable", False))
    failed_over.at(17.0, lambda: setattr(failed_over["b/db"], "reachable", True))
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.names == STEPS
    assert steps.failed == []
    assert 17.0 <= failed_over.now_s < 17.3
    assert failed_over["a/db"].received == 3500


@pytest.mark.parametrize("name", ["promote", "snapshot", "replicate", "send_customers_to"])
def test_what_is_cut_for_a_while_after_the_fence_is_tried_again(
    failed_over: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    act, times = getattr(failed_over, name), []

    def tried(*given: Any) -> None:
        times.append(given)
        if failed_over.epoch == 3 and len(times) <= 4:
            raise Unreachable("away")
        act(*given)

    monkeypatch.setattr(failed_over, name, tried)
    steps = rehearse(failed_over, "failback", to="a")
    assert steps.names == STEPS
    assert failed_over.active == "a"

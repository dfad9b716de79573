"""The other region takes over: its steps in order, and what each of them waits for."""

from __future__ import annotations

import pytest

from payresil.core.protocols import RemedyFailed, RemedyStopped, Unreachable
from payresil.core.values import Duration

from .rehearsed import Steps, World, rehearse

STEPS = ["detect", "decide", "fence", "promote", "switch", "resolve", "reconcile", "backups"]


@pytest.fixture
def lost(world: World) -> World:
    """Region a does not serve from 5 s on, and its databases are gone."""

    def lose() -> None:
        world.serving.discard("a")
        world["a/db"].reachable = world["a/db.2"].reachable = False
        world.lease_held_s = 6.7

    world.at(5.0, lose)
    return world


def test_steps_in_their_order(lost: World) -> None:
    steps = rehearse(lost, "failover", to="b")
    assert steps.names == STEPS
    assert steps.failed == []
    assert lost.done == [
        "lease b 2",
        "promote b/db",
        "snapshot promoted b/db",
        "replicate b/db asynchronous",
        "switch b",
        "reconcile b",
        "archive b/db",
    ]
    assert lost.active == "b"
    assert steps.found["promote"] == {"node": "b/db"}
    assert steps.found["switch"] == {"region": "b"}
    assert steps.found["reconcile"] == {"answer": {"remedied": 3}}


def test_nothing_is_done_while_the_region_serves(world: World) -> None:
    steps = Steps(world, ends_s=30)
    with pytest.raises(RemedyStopped):
        rehearse(world, "failover", steps, to="b")
    assert steps.failed == ["detect"]
    assert world.done == []


def test_fence_waits_until_the_lease_is_taken(lost: World) -> None:
    lost.at(5.0, lambda: setattr(lost, "lease_held_s", 9.0))
    steps = rehearse(lost, "failover", to="b")
    assert 9.0 <= lost.now_s < 9.2
    assert steps.took_s("fence") == pytest.approx(3.0, abs=0.25)
    assert steps.found["fence"]["epoch"] == 2
    assert steps.found["fence"]["planned"] is False
    assert steps.found["fence"]["held_for_ms"] == pytest.approx(3000, abs=250)


def test_a_witness_out_of_reach_means_no_promotion(
    lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(region: str) -> tuple[int | None, int]:
        raise Unreachable("the witness is away")

    monkeypatch.setattr(lost, "take_lease", gone)
    steps = Steps(lost)
    with pytest.raises(RemedyStopped):
        rehearse(lost, "failover", steps, to="b")
    assert steps.names == STEPS[:3]
    assert steps.found["fence"]["last_unreachable"] == "the witness is away"
    assert lost.done == []


def test_a_witness_that_comes_back_is_asked_again(
    lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, asked = lost.take_lease, []

    def away_at_first(region: str) -> tuple[int | None, int]:
        asked.append(region)
        if len(asked) <= 10:
            raise Unreachable("the witness is away")
        return take(region)

    monkeypatch.setattr(lost, "take_lease", away_at_first)
    assert rehearse(lost, "failover", to="b").names == STEPS
    assert len(asked) > 10


def test_nothing_is_promoted_before_it_is_decided(lost: World) -> None:
    steps = Steps(lost)
    done_then: list[list[str]] = []
    steps.decides = lambda: done_then.append(list(lost.done))
    rehearse(lost, "failover", steps, to="b")
    assert done_then == [[]]


def test_detection_takes_as_long_as_asked(lost: World) -> None:
    steps = rehearse(lost, "failover", to="b", detect_after=Duration(4))
    assert steps.took_s("detect") == pytest.approx(9.0, abs=0.25)


def test_without_a_standby_in_reach_it_fails_and_switches_nothing(lost: World) -> None:
    lost["b/db"].reachable = False
    steps = Steps(lost)
    with pytest.raises(RemedyFailed, match="no standby can be reached"):
        rehearse(lost, "failover", steps, to="b")
    assert steps.failed == ["promote"]
    assert "switch b" not in lost.done


def test_switch_waits_until_the_region_serves(lost: World) -> None:
    lost.serving.discard("b")
    lost.at(12.0, lambda: lost.serving.add("b"))
    steps = rehearse(lost, "failover", to="b")
    assert 12.0 <= lost.now_s < 12.1
    assert steps.took_s("switch") > 4


def test_resolve_waits_until_nothing_is_unknown(lost: World) -> None:
    lost.pending = [
        {"payments": 2, "refunds": 0},
        Unreachable("busy"),
        {"payments": 0, "refunds": 1},
        {"payments": 0, "refunds": 0},
    ]
    steps = rehearse(lost, "failover", to="b")
    assert steps.took_s("resolve") == pytest.approx(0.3)
    assert steps.found["resolve"]["unknown"] == {"payments": 0, "refunds": 0}


def test_payments_do_not_wait_for_the_archive(lost: World) -> None:
    lost.archive_reachable = False
    steps = rehearse(lost, "failover", to="b")
    assert steps.names == STEPS
    assert steps.failed == []
    assert steps.found["backups"] == {"left": "the archive is away"}
    assert lost.done[-1] == "reconcile b"


def test_the_former_standby_region_fails_over_back(lost: World) -> None:
    """Which region is watched is which one is active, not which one was at first."""
    lost.active, lost.serving = "b", {"a"}
    lost["b/db"].reachable = False
    lost["a/db"].is_primary = False
    lost["a/db.2"].received = 1500
    rehearse(lost, "failover", to="a")
    assert "promote a/db.2" in lost.done
    assert lost.active == "a"

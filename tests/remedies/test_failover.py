"""The other region takes over: its steps in order, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from payresil.core.protocols import RemedyFailed, RemedyStopped, Unreachable
from payresil.core.topology import Node
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


def test_without_a_database_in_reach_the_lease_is_left_where_it_is(lost: World) -> None:
    """Region a may come back; had b taken the epoch, nobody could take payments then."""
    lost["b/db"].reachable = False
    steps = Steps(lost)
    with pytest.raises(RemedyFailed, match="no database of region b can be reached"):
        rehearse(lost, "failover", steps, to="b")
    assert steps.names == STEPS[:2]
    assert lost.done == []


def test_a_database_that_is_away_for_a_while_after_the_fence_is_waited_for(lost: World) -> None:
    lost.at(6.5, lambda: setattr(lost["b/db"], "reachable", False))
    lost.at(9.0, lambda: setattr(lost["b/db"], "reachable", True))
    steps = rehearse(lost, "failover", to="b")
    assert steps.names == STEPS
    assert 9.0 <= lost.now_s < 9.2
    assert lost.active == "b"


@pytest.mark.parametrize("name", ["promote", "snapshot", "replicate", "send_customers_to"])
def test_after_the_fence_what_is_cut_for_a_while_is_tried_again(
    lost: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    act = out_of_reach_for(getattr(lost, name), times=3)
    monkeypatch.setattr(lost, name, act)
    steps = rehearse(lost, "failover", to="b")
    assert steps.names == STEPS
    assert steps.failed == []
    step = "switch" if name == "send_customers_to" else "promote"
    assert steps.found[step]["last_unreachable"] == "away"


def test_reconciling_is_tried_again_as_resolving_is(
    lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost, "reconcile", out_of_reach_for(lost.reconcile, times=3))
    steps = rehearse(lost, "failover", to="b")
    assert steps.names == STEPS
    assert steps.found["reconcile"] == {"last_unreachable": "away", "answer": {"remedied": 3}}


def out_of_reach_for(act: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Something that cannot be reached so many times, and then does what it does."""
    left = iter(range(times))

    def tried(*given: Any) -> Any:
        if next(left, None) is not None:
            raise Unreachable("away")
        return act(*given)

    return tried


# --- a region that was active before ---------------------------------------------------------


@pytest.fixture
def lost_again(world: World) -> World:
    """Region a has come back as it was lost, b took over meanwhile, and is lost from now on."""
    world.active, world.serving = "b", {"a"}
    world["b/db"].is_primary, world["b/db"].timeline = True, 2
    world["b/db"].reachable = False
    for database in world.all.values():
        database.gets = False
    return world


def test_a_former_primary_that_is_the_newest_is_kept_and_read(lost_again: World) -> None:
    steps = rehearse(lost_again, "failover", to="a")
    assert lost_again.done[:3] == [
        "lease a 2",
        "snapshot promoted a/db",
        "replicate a/db asynchronous",
    ]
    assert steps.found["promote"] == {"node": "a/db", "was_primary": True}
    assert [name for name in ("a/db", "a/db.2") if lost_again[name].is_primary] == ["a/db"]
    assert lost_again.done[-1] == "archive a/db"


def test_a_former_primary_on_an_older_timeline_is_fenced_before_a_newer_one_is_promoted(
    lost_again: World,
) -> None:
    lost_again["a/db"].received = 9000
    lost_again["a/db.2"].timeline = 2
    steps = rehearse(lost_again, "failover", to="a")
    assert lost_again.done[:4] == [
        "lease a 2",
        "fence a/db",
        "promote a/db.2",
        "snapshot promoted a/db.2",
    ]
    assert steps.found["promote"] == {"node": "a/db.2", "fenced": ["a/db"]}
    assert [name for name in ("a/db", "a/db.2") if lost_again[name].is_primary] == ["a/db.2"]


def test_of_two_former_primaries_the_newer_one_is_kept(lost_again: World) -> None:
    lost_again["a/db.2"].is_primary, lost_again["a/db.2"].timeline = True, 2
    rehearse(lost_again, "failover", to="a")
    assert lost_again.done[1:3] == ["fence a/db", "snapshot promoted a/db.2"]
    assert [name for name in ("a/db", "a/db.2") if lost_again[name].is_primary] == ["a/db.2"]


def test_nothing_is_promoted_beside_a_former_primary_that_cannot_be_fenced(
    lost_again: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(node: Node) -> None:
        raise Unreachable(f"{node} is silent")

    lost_again["a/db.2"].timeline = 2
    monkeypatch.setattr(lost_again, "fence", silent)
    steps = Steps(lost_again)
    with pytest.raises(RemedyStopped):
        rehearse(lost_again, "failover", steps, to="a")
    assert steps.failed == ["promote"]
    assert steps.found["promote"]["last_unreachable"] == "a/db is silent"
    assert lost_again.done == ["lease a 2"]


def test_the_region_that_is_active_cannot_take_over(world: World) -> None:
    steps = Steps(world)
    with pytest.raises(RemedyFailed, match="region a takes payments already"):
        rehearse(world, "failover", steps, to="a")
    assert steps.names == []
    assert world.done == []


# --- what comes after ------------------------------------------------------------------------


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

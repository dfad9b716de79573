"""Degrading, deploying and restoring."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from payresil.core.protocols import (
    BackupDamaged,
    EnvironmentBroke,
    RemedyFailed,
    RemedyStopped,
    Unreachable,
)
from payresil.core.topology import Node
from payresil.core.values import Duration

from .rehearsed import Steps, World, rehearse

# --- degrade_to_async ------------------------------------------------------------------------


def test_it_degrades_when_what_commits_wait_for_is_gone(world: World) -> None:
    world.at(5.0, lambda: setattr(world, "waited_for_is_there", False))
    steps = rehearse(world, "degrade_to_async")
    assert steps.names == ["detect", "decide", "degrade"]
    assert 6.0 <= world.now_s < 6.25
    assert world.done == ["replicate a/db asynchronous"]
    assert steps.found["degrade"] == {"node": "a/db", "rpo": "not zero any more"}


def test_it_never_degrades_while_that_is_there(world: World) -> None:
    with pytest.raises(RemedyStopped):
        rehearse(world, "degrade_to_async", Steps(world, ends_s=20))
    assert world.done == []


def test_a_primary_out_of_reach_is_no_reason_to_degrade(world: World) -> None:
    """Its standby may well be there: what an operator cannot see he does not change."""
    world.at(5.0, lambda: setattr(world["a/db"], "reachable", False))
    with pytest.raises(RemedyStopped):
        rehearse(world, "degrade_to_async", Steps(world, ends_s=30))
    assert world.done == []


def test_a_short_absence_is_no_reason_to_degrade(world: World) -> None:
    world.at(5.0, lambda: setattr(world, "waited_for_is_there", False))
    world.at(6.5, lambda: setattr(world, "waited_for_is_there", True))
    with pytest.raises(RemedyStopped):
        rehearse(world, "degrade_to_async", Steps(world, ends_s=20), detect_after=Duration(2))
    assert world.done == []


def test_without_a_primary_in_reach_there_is_nothing_to_watch(world: World) -> None:
    world["a/db"].reachable = False
    with pytest.raises(RemedyFailed, match="no primary can be reached"):
        rehearse(world, "degrade_to_async")


def test_a_primary_that_is_lost_at_that_moment_is_told(world: World) -> None:
    world.at(5.0, lambda: setattr(world, "waited_for_is_there", False))
    steps = Steps(world)
    steps.decides = lambda: setattr(world["a/db"], "reachable", False)
    with pytest.raises(Unreachable):
        rehearse(world, "degrade_to_async", steps)
    assert steps.failed == ["degrade"]


# --- deploy ----------------------------------------------------------------------------------


def test_instances_are_replaced_one_after_the_other(world: World) -> None:
    steps = rehearse(world, "deploy", region="a")
    assert steps.names == ["decide", "instance a/service.1", "instance a/service.2"]
    assert world.done == [
        "stop a/service.1", "start a/service.1", "stop a/service.2", "start a/service.2",
    ]  # fmt: skip


def test_the_next_one_waits_until_the_region_serves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(node: Node) -> None:
        world.done.append(f"start {node}")
        world.serving.discard("a")
        world.at(world.now_s + 3, lambda: world.serving.add("a"))

    monkeypatch.setattr(world, "start", start)
    steps = rehearse(world, "deploy", region="a")
    assert steps.took_s("instance a/service.1") == pytest.approx(3.0, abs=0.15)
    assert steps.failed == []


def test_it_stops_where_the_region_does_not_serve_any_more(world: World) -> None:
    world.serving.discard("a")
    steps = rehearse(world, "deploy", region="a")
    assert world.done == []
    assert steps.names == ["decide", "instance a/service.1"]
    assert steps.found["instance a/service.1"] == {"replaced": False}
    assert steps.failed == []


def test_it_stops_in_the_middle_when_the_region_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another region has taken over by then: the one that was deployed to serves nobody."""

    def lose(node: Node) -> None:
        world.done.append(f"start {node}")
        world.serving.discard("a")
        world.at(world.now_s + 3, lambda: setattr(world, "active", "b"))
        world.at(world.now_s + 3, lambda: world.done.append("taken over"))

    monkeypatch.setattr(world, "start", lose)
    steps = rehearse(world, "deploy", region="a")
    assert world.done == ["stop a/service.1", "start a/service.1", "taken over"]
    assert steps.found["instance a/service.2"] == {"replaced": False}
    assert steps.failed == []


def test_a_region_that_stands_by_need_not_serve(world: World) -> None:
    world.serving.discard("b")
    rehearse(world, "deploy", region="b")
    assert len(world.done) == 4


@pytest.mark.parametrize("region", ["a", "b"])
def test_a_region_out_of_reach_is_left_alone_and_told(world: World, region: str) -> None:
    world.cut_off = {region}
    steps = Steps(world)
    with pytest.raises(Unreachable, match=f"region {region} is out of reach"):
        rehearse(world, "deploy", steps, region=region)
    assert world.done == []
    assert steps.names == ["decide"]


def test_it_stops_where_the_region_gets_out_of_reach(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(node: Node) -> None:
        world.done.append(f"start {node}")
        world.cut_off = {"b"}

    monkeypatch.setattr(world, "start", start)
    steps = rehearse(world, "deploy", region="b")
    assert world.done == ["stop b/service.1", "start b/service.1"]
    assert steps.found["instance b/service.1"] == {"replaced": True}
    left = {"replaced": False, "left": "region b is out of reach"}
    assert steps.found["instance b/service.2"] == left
    assert steps.failed == []


@pytest.mark.parametrize("region", ["a", "b"])
def test_an_instance_that_does_not_come_up_again_is_not_replaced(world: World, region: str) -> None:
    world.down = {f"{region}/service.1"}
    steps = rehearse(world, "deploy", region=region)
    assert steps.names == ["decide", f"instance {region}/service.1"]
    assert steps.found[f"instance {region}/service.1"] == {"replaced": False}


def test_a_region_without_instances_is_an_error(world: World) -> None:
    with pytest.raises(RemedyFailed, match="region w has no instance"):
        rehearse(world, "deploy", region="w")


# --- restore ---------------------------------------------------------------------------------


def test_the_point_in_time_is_so_long_ago(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_456_789)
    steps = rehearse(world, "restore", ago=Duration(3.5))
    until_us = 1_700_000_000_123_456 - 3_500_000
    assert world.done == [
        f"restore {until_us}", "snapshot restored w/restored", "restored is gone",
    ]  # fmt: skip
    assert steps.names == ["decide", "restore"]
    assert steps.found["restore"] == {"until_us": until_us, "node": "w/restored"}


def test_the_point_in_time_counts_from_the_decision(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = [10**18]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns[0])
    steps = Steps(world)
    steps.decides = lambda: now_ns.__setitem__(0, 2 * 10**18)
    rehearse(world, "restore", steps)
    assert steps.found["restore"]["until_us"] == 2 * 10**15 - 2_000_000


@pytest.mark.parametrize(
    ("error", "damaged"),
    [
        (BackupDamaged("the base backup: base/5/1259 is missing"), True),
        (EnvironmentBroke("the archive does not reach that far"), False),
    ],
)
def test_backups_that_cannot_be_restored_are_an_answer_and_no_defect(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, damaged: bool
) -> None:
    @contextmanager
    def broken(at_us: int) -> Iterator[Node]:
        raise error
        yield

    monkeypatch.setattr(world, "restored", broken)
    steps = Steps(world)
    with pytest.raises(RemedyFailed, match=f"nothing can be restored: {error}"):
        rehearse(world, "restore", steps)
    assert steps.failed == ["restore"]
    assert "until_us" in steps.found["restore"]
    assert steps.found["restore"]["damaged"] is damaged


def test_a_restored_database_that_is_not_read_is_a_defect(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(moment: str, node: Node) -> None:
        raise EnvironmentBroke("no such column")

    monkeypatch.setattr(world, "snapshot", broken)
    with pytest.raises(EnvironmentBroke, match="no such column"):
        rehearse(world, "restore")
    assert world.done[-1] == "restored is gone"

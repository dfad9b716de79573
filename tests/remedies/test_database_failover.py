"""Another database of the region takes over, with everything that any standby has."""

from __future__ import annotations

import pytest

from payresil.core.protocols import RemedyFailed, RemedyStopped, Unreachable
from payresil.core.topology import Node

from .rehearsed import Steps, World, rehearse

STEPS = [
    "detect", "decide", "fence", "catch_up", "promote", "follow", "resolve", "reconcile", "backups",
]  # fmt: skip


@pytest.fixture
def lost(world: World) -> World:
    """The primary is gone from 5 s on, and the standbys have got different amounts of its log."""

    def lose() -> None:
        for database in world.all.values():
            database.gets = False
        world["a/db"].reachable = False
        world["a/db"].received = 1500
        world["a/db.2"].received = 1200
        world["b/db"].received = 1400

    world.at(5.0, lose)
    return world


def resume(world: World, name: str) -> None:
    """A standby gets something again, once it has another source."""
    world[name].gets = True


def test_a_standby_that_is_behind_catches_up_first(lost: World) -> None:
    lost.at(5.1, lambda: resume(lost, "a/db.2"))
    lost.at(5.1, lambda: setattr(lost["a/db.2"], "source", None))  # its source is gone
    steps = rehearse(lost, "database_failover")
    assert steps.names == STEPS
    assert lost["a/db.2"].received == 1400
    assert steps.found["catch_up"] == {"bytes_behind": 200, "from": "b/db"}
    assert steps.took_s("catch_up") == pytest.approx(0.2)
    assert lost.done == [
        "fence a/db",
        "follow a/db.2 b/db",
        "promote a/db.2",
        "snapshot promoted a/db.2",
        "replicate a/db.2 asynchronous",
        "follow b/db a/db.2",
        "reconcile a",
        "archive a/db.2",
    ]


def test_one_that_is_ahead_needs_nothing_from_the_others(lost: World) -> None:
    lost.at(5.1, lambda: setattr(lost["a/db.2"], "received", 1450))
    steps = rehearse(lost, "database_failover")
    assert steps.found["catch_up"] == {"bytes_behind": 0}
    assert not any(line.startswith("follow a/db.2") for line in lost.done)


def test_the_flaw_promotes_what_is_behind(lost: World) -> None:
    lost.chooses_first = True
    steps = rehearse(lost, "database_failover")
    assert steps.names == [name for name in STEPS if name != "catch_up"]
    assert "promote a/db.2" in lost.done
    assert lost["a/db.2"].received == 1200


def test_a_standby_out_of_reach_is_named_and_left(lost: World) -> None:
    lost["b/db"].reachable = False
    steps = rehearse(lost, "database_failover")
    assert steps.found["follow"] == {"nodes": {"b/db": "left: b/db is away"}}
    assert steps.failed == []
    assert "reconcile a" in lost.done


def test_the_others_follow_the_new_primary(lost: World) -> None:
    lost.at(5.1, lambda: setattr(lost["a/db.2"], "received", 1450))
    steps = rehearse(lost, "database_failover")
    assert steps.found["follow"] == {"nodes": {"b/db": "follows"}}
    assert lost["b/db"].source == Node("a", "db", 2)


def test_without_another_database_in_reach_here_it_fails(lost: World) -> None:
    lost["a/db.2"].reachable = False
    with pytest.raises(RemedyFailed, match="no standby can be reached"):
        rehearse(lost, "database_failover")
    assert lost.done == []


def test_nothing_is_promoted_beside_a_primary_that_cannot_be_fenced(
    lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(node: Node) -> None:
        raise Unreachable(f"{node} runs, and there is no way to it")

    monkeypatch.setattr(lost, "fence", hidden)
    steps = Steps(lost)
    with pytest.raises(RemedyFailed, match="a/db cannot be fenced, so nothing is promoted: a/db r"):
        rehearse(lost, "database_failover", steps)
    assert steps.failed == ["fence"]
    assert lost.done == []


def test_a_standby_that_does_not_stream_in_time_is_left(
    lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = lost.follow

    def slow(node: Node, source: Node) -> None:
        if node == Node("b", "db"):
            raise Unreachable("the standby does not stream from a/db.2, 15 s after it was told to")
        follow(node, source)

    lost.at(5.1, lambda: setattr(lost["a/db.2"], "received", 1450))
    monkeypatch.setattr(lost, "follow", slow)
    steps = rehearse(lost, "database_failover")
    assert steps.names == STEPS
    assert steps.found["follow"]["nodes"]["b/db"].startswith("left: the standby does not stream")


def test_what_it_catches_up_with_is_asked_for_again_when_it_was_cut(
    lost: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, left = lost.follow, iter(range(3))

    def cut(node: Node, source: Node) -> None:
        if next(left, None) is not None:
            raise Unreachable("b/db is away")
        follow(node, source)
        resume(lost, str(node))

    monkeypatch.setattr(lost, "follow", cut)
    steps = rehearse(lost, "database_failover")
    assert steps.names == STEPS
    assert lost["a/db.2"].received == 1400


@pytest.mark.parametrize("primaries", [(), ("a/db", "a/db.2")])
def test_there_must_be_one_primary_to_watch(world: World, primaries: tuple[str, ...]) -> None:
    for name in ("a/db", "a/db.2"):
        world[name].is_primary = name in primaries
    words = ", ".join(primaries) or "none"
    with pytest.raises(RemedyFailed, match=f"one primary in region a to watch, not {words}"):
        rehearse(world, "database_failover")


def test_a_primary_that_answers_is_left_alone(world: World) -> None:
    with pytest.raises(RemedyStopped):
        rehearse(world, "database_failover", Steps(world, ends_s=20))
    assert world.done == []


def test_it_runs_in_the_region_that_is_active(lost: World) -> None:
    lost.active = "b"
    with pytest.raises(RemedyFailed, match="one primary in region b"):
        rehearse(lost, "database_failover")

"""How far standbys and the archive are behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from payresil.backends.embedded.replication.lag import Archived, Positions, ReplicationLag
from payresil.backends.embedded.replication.operating import promote
from payresil.backends.launcher import Supervisor

from .replicated import Member, caught_up, members, passable_folder

Until = Callable[[Callable[[], object]], None]


def known(*points: tuple[float, int]) -> Positions:
    positions = Positions()
    for at_s, position in points:
        positions.add(at_s, position)
    return positions


def test_who_is_level_is_not_behind() -> None:
    assert known((1.0, 100), (2.0, 300)).lag(300) == (0, 0.0)
    assert known((1.0, 100)).lag(400) == (0, 0.0)  # it was asked a moment later


def test_who_is_behind_was_level_when_the_primary_was_there() -> None:
    positions = known((1.0, 100), (2.0, 300), (5.0, 900))
    assert positions.lag(300) == (600, 3.0)
    assert positions.lag(299) == (601, 4.0)


def test_who_was_never_seen_level_was_so_before_anybody_looked() -> None:
    assert known((1.0, 100), (4.0, 200)).lag(50) == (150, 3.0)


def test_an_idle_primary_leaves_nobody_behind() -> None:
    assert known((1.0, 100), (60.0, 100)).lag(100) == (0, 0.0)


def test_what_a_lost_primary_had_is_nobodys_lag() -> None:
    assert known((1.0, 100), (2.0, 900), (3.0, 200)).lag(150) == (50, 2.0)


def test_of_a_later_timeline_the_archive_holds_nothing_before_it_pulls_from_there() -> None:
    archived = Archived(900, 1).beside(2, 500)
    assert archived == Archived(500, 2)
    positions = known((1.0, 900), (6.0, 500), (8.0, 700))
    assert positions.lag(archived.beside(2, 700).position) == (200, 2.0)


def test_what_it_lacked_before_it_lacks_then() -> None:
    assert Archived(400, 1).beside(2, 500) == Archived(400, 2)


def test_a_primary_of_the_same_timeline_changes_nothing() -> None:
    assert Archived(900, 2).beside(2, 500) == Archived(900, 2)
    assert Archived(900, 2).beside(1, 500) == Archived(900, 2)


@pytest.fixture
def pair(launcher: Supervisor) -> Iterator[Mapping[str, Member]]:
    scratch = passable_folder()
    launcher.sweep(scratch)
    with members(scratch, launcher, "a/db", "b/db") as made:
        made["a/db"].ask("create table t (n int)")
        caught_up(made["b/db"], made["a/db"])
        yield made


def test_the_samples_of_two_databases(pair: Mapping[str, Member], until: Until) -> None:
    a, b = pair.values()
    lag = ReplicationLag({name: each.operator for name, each in pair.items()}, "w/archive")

    def now() -> dict[tuple[str, str], float]:
        return {(node, metric): value for node, metric, value in lag.samples()}

    assert now() == {
        ("a/db", "database_is_primary"): 1,
        ("b/db", "database_is_primary"): 0,
        ("b/db", "replication_lag_bytes"): 0,
        ("b/db", "replication_lag_seconds"): 0,
        ("b/db", "replication_connected"): 1,
        ("w/archive", "archive_connected"): 0,  # there is none, so nobody knows what it holds
    }
    a.node.stop()
    until(lambda: now() == {("b/db", "database_is_primary"): 0})
    promote(b.operator)
    assert now()["b/db", "database_is_primary"] == 1
    b.node.kill()
    assert now() == {}


def test_a_standby_that_gets_nothing_is_behind_by_what_is_written(
    pair: Mapping[str, Member], until: Until
) -> None:
    a, b = pair.values()
    lag = ReplicationLag({name: each.operator for name, each in pair.items()})

    def now(metric: str) -> float:
        (value,) = [
            value for node, name, value in lag.samples() if (node, name) == ("b/db", metric)
        ]
        return value

    assert now("replication_connected") == 1
    b.ask("alter system set primary_conninfo = ''", role="operator")
    b.ask("select pg_reload_conf()", role="operator")
    until(lambda: now("replication_connected") == 0)
    size = "select (pg_current_wal_flush_lsn() - '0/0')::bigint"
    before = a.ask(size)
    a.ask("insert into t select generate_series(1, 100)")
    assert now("replication_lag_bytes") >= a.ask(size) - before > 0
    assert now("replication_lag_seconds") > 0

"""Databases that replicate, for real: standbys, what commits wait for, failing over and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from payresil.backends.embedded.postgres_roles import AUDITOR, OPERATOR, REPLICATOR, Roles
from payresil.backends.embedded.replication import operating
from payresil.backends.embedded.replication.membership import standby_name
from payresil.backends.embedded.replication.operating import (
    await_streaming,
    follow,
    promote,
    replicate,
    standing,
)
from payresil.backends.embedded.replication.questions import ask
from payresil.backends.embedded.replication.standby import clone, conninfo, rejoin
from payresil.backends.launcher import Supervisor
from payresil.backends.ports import HeldPort
from payresil.core.protocols import EnvironmentBroke, Unreachable

from .replicated import Member, caught_up, members, passable_folder

Until = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def pair() -> Iterator[Mapping[str, Member]]:
    """A primary and a standby that has caught up, for tests that leave them so."""
    scratch = passable_folder()
    with Supervisor.started() as launcher:
        launcher.sweep(scratch)
        with members(scratch, launcher, "a/db", "b/db") as made:
            made["a/db"].ask("create table t (n int)")
            caught_up(made["b/db"], made["a/db"])
            yield made


@pytest.fixture
def three(launcher: Supervisor, scratch: Path) -> Iterator[Mapping[str, Member]]:
    with members(scratch, launcher, "a/db", "a/db.2", "b/db") as made:
        made["a/db"].ask("create table t (n int)")
        for standby in (made["a/db.2"], made["b/db"]):
            caught_up(standby, made["a/db"])
        yield made


def held(member: Member) -> list[int]:
    return list(member.ask("select coalesce(array_agg(n order by n), '{}') from t"))


def test_a_standby_begins_where_every_member_begins_and_catches_up(
    pair: Mapping[str, Member],
) -> None:
    a, b = pair.values()
    primary, standby = standing(a.operator), standing(b.operator)
    assert (primary.is_primary, primary.source, primary.timeline) == (True, None, 1)
    assert (standby.is_primary, standby.source, standby.timeline) == (False, a.address, 1)
    assert standby.replayed >= primary.received > 0
    assert a.ask("select application_name from pg_stat_replication", role=OPERATOR) == "b_db"
    assert b.ask("select count(*) from t", role=AUDITOR) == 0
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        b.ask("insert into t values (1)")


@pytest.mark.parametrize("role", [OPERATOR, REPLICATOR])
def test_who_operates_and_replicates_cannot_touch_a_payment(
    pair: Mapping[str, Member], role: str
) -> None:
    a = pair["a/db"]
    assert a.ask("select not rolsuper from pg_roles where rolname = $1", role, role=role)
    for statement in ("insert into t values (1)", "create role mallory", "set role service"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            a.ask(statement, role=role)


@pytest.mark.parametrize(
    "statement", ["select pg_promote()", "alter system set primary_conninfo = ''"]
)
def test_the_service_cannot_do_what_operators_do(
    pair: Mapping[str, Member], statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        pair["b/db"].ask(statement)


def test_no_password_is_in_a_setting_or_a_log(pair: Mapping[str, Member]) -> None:
    b = pair["b/db"]
    assert b.ask("show primary_conninfo", role=OPERATOR) == conninfo(pair["a/db"].address)
    for role in (OPERATOR, REPLICATOR):
        password = urlsplit(b.postgres.url(role, b.address)).password
        assert password is not None
        assert not [each for each in pair.values() if password in each.log]
    assert (b.postgres.data / "postgresql.auto.conf").stat().st_mode & 0o077 == 0


def test_a_password_is_in_no_message(pair: Mapping[str, Member]) -> None:
    nobody = HeldPort()
    with pytest.raises(Unreachable, match=f"the database at {nobody.address} cannot be") as raised:
        standing(pair["a/db"].postgres.url(OPERATOR, nobody.address))
    nobody.release()
    password = urlsplit(pair["a/db"].operator).password
    assert password is not None
    assert password not in str(raised.value)


def test_a_statement_that_fails_is_told_with_the_databases_words(
    pair: Mapping[str, Member],
) -> None:
    a = pair["a/db"]
    with pytest.raises(EnvironmentBroke, match=f"{a.address}: relation .nothing. does not exist"):
        ask(a.operator, "select * from nothing")


def test_promoting_a_primary_leaves_it_one(pair: Mapping[str, Member]) -> None:
    promote(pair["a/db"].operator)
    assert standing(pair["a/db"].operator).timeline == 1


def test_commits_wait_for_the_standby_until_they_need_not(pair: Mapping[str, Member]) -> None:
    a, b = pair.values()
    replicate(a.operator, "synchronous", ["b/db"])

    async def with_a_silent_standby() -> None:
        client = await asyncpg.connect(a.postgres.url("service", a.address))
        b.node.pause()
        commit = asyncio.ensure_future(client.execute("create table waits ()"))
        done, _ = await asyncio.wait([commit], timeout=0.3)
        assert not done
        await asyncio.to_thread(replicate, a.operator, "asynchronous", [])
        await asyncio.wait_for(commit, 10)
        b.node.resume()
        client.terminate()

    asyncio.run(with_a_silent_standby())
    await_streaming(b.operator, a.address)


@pytest.mark.parametrize(
    ("mode", "names"),
    [("synchronous", "FIRST 1 (b_db)"), ("quorum", "ANY 1 (b_db)"), ("asynchronous", "")],
)
def test_what_commits_wait_for_is_in_force_at_once(
    pair: Mapping[str, Member], mode: str, names: str
) -> None:
    a = pair["a/db"]
    replicate(a.operator, mode, ["b/db"])
    assert a.ask("show synchronous_standby_names") == names
    replicate(a.operator, "asynchronous", [])


def test_an_unknown_mode_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ValueError, match="sometimes: expected asynchronous, synchronous or quorum"):
        replicate("", "sometimes", [])


def test_a_silent_primary_is_noticed_and_then_followed_again(
    pair: Mapping[str, Member], until: Until
) -> None:
    a, b = pair.values()
    a.node.pause()
    until(lambda: standing(b.operator).source is None)
    a.node.resume()
    await_streaming(b.operator, a.address)


def test_a_primary_that_was_killed_is_rewound_and_loses_what_only_it_had(
    three: Mapping[str, Member],
) -> None:
    a, a2, b = three.values()
    a.ask("insert into t values (1)")
    for standby in (a2, b):
        caught_up(standby, a)
        standby.node.stop()
    a.ask("insert into t values (2)")  # no standby gets it
    a.node.kill()
    for standby in (a2, b):
        standby.start()
    promote(b.operator)
    b.ask("insert into t values (3)")
    assert rejoin(a.postgres, b.address) == "rewound"
    a.start()
    await_streaming(a.operator, b.address)
    follow(a2.operator, conninfo(b.address), b.address)
    for standby in (a, a2):
        caught_up(standby, b)
        assert held(standby) == held(b) == [1, 3]
        assert standing(standby.operator).timeline == 2


def test_what_commits_waited_for_is_forgotten_by_who_rejoins(three: Mapping[str, Member]) -> None:
    a, _, b = three.values()
    replicate(a.operator, "synchronous", ["b/db"])
    a.node.stop()
    promote(b.operator)
    rejoin(a.postgres, b.address)
    a.start()
    assert a.ask("show synchronous_standby_names") == ""


def test_a_standby_that_cannot_be_rewound_is_copied(three: Mapping[str, Member]) -> None:
    a, _, b = three.values()
    b.node.kill()  # only one that ended in order can be rewound, and a standby cannot be helped
    a.ask("insert into t values (1)")
    assert rejoin(b.postgres, a.address) == "copied"
    b.start()
    await_streaming(b.operator, a.address)
    caught_up(b, a)
    assert held(b) == [1]
    assert "must be shut down cleanly" in b.log


def test_an_empty_member_is_filled_by_a_copy(three: Mapping[str, Member], scratch: Path) -> None:
    a = three["a/db"]
    more = Member("b/db.2", a.roles, a.launcher, scratch, empty=True)
    clone(more.postgres, a.address)
    more.start()
    await_streaming(more.operator, a.address)
    assert held(more) == []
    more.port.release()


def test_a_copy_that_fails_leaves_what_was_there(three: Mapping[str, Member]) -> None:
    _, _, b = three.values()
    b.node.stop()
    nobody = HeldPort()
    with pytest.raises(EnvironmentBroke, match=r"(?s)copying a database failed.*refused"):
        clone(b.postgres, nobody.address)
    nobody.release()
    b.start()
    assert held(b) == []


def test_a_standby_that_does_not_get_there_is_told(
    three: Mapping[str, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = HeldPort()
    monkeypatch.setattr(operating, "FOLLOW_S", 0.1)
    with pytest.raises(Unreachable, match=f"does not stream from {nobody.address}, 0.1 s"):
        follow(three["b/db"].operator, conninfo(nobody.address), nobody.address)
    nobody.release()


@pytest.mark.parametrize(
    ("node", "name"), [("a/db", "a_db"), ("a/db.2", "a_db_2"), ("w/archive", "w_archive")]
)
def test_how_a_standby_calls_itself(node: str, name: str) -> None:
    assert standby_name(node) == name


def test_roles_of_one_database_alone_are_two() -> None:
    assert "replicator" not in Roles().statements()
    assert "pg_promote" in Roles(replicated=True).statements()


def test_commits_wait_from_the_moment_that_they_are_told_to(three: Mapping[str, Member]) -> None:
    a, _, b = three.values()
    b.node.stop()
    for number in range(5):
        replicate(a.operator, "synchronous", ["b/db"])
        with pytest.raises(TimeoutError):
            a.ask("insert into t values ($1)", number, within_s=0.1)
        replicate(a.operator, "asynchronous", [])

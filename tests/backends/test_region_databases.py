"""Replicated databases as operators handle them: what is asked of whom, and over which way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from payresil.backends.embedded.regions import databases as module
from payresil.backends.embedded.regions.archiving import Archiving
from payresil.backends.embedded.regions.databases import ReplicatedDatabases
from payresil.backends.embedded.regions.members import WITNESS, Members
from payresil.backends.embedded.regions.over_tls import answers
from payresil.backends.embedded.regions.snapshots import Snapshot, read_snapshot
from payresil.backends.embedded.replication import operating, standby
from payresil.backends.launcher import Supervisor
from payresil.core.protocols import (
    Assembly,
    EnvironmentBroke,
    Nodes,
    Standing,
    Unreachable,
)
from payresil.core.topology import Link, Node
from payresil.engine.sown import sow
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

from .replicated import Member, members, passable_folder

A, A2, B = Node("a", "db"), Node("a", "db", 2), Node("b", "db")


class Postgres:
    """The part of a database that is asked for its URL."""

    def __init__(self, name: str) -> None:
        self.name = name

    def url(self, role: str, address: str) -> str:
        return f"{role}@{address}"


class Parts:
    """Nodes, links and archive, which remember in which order they were used."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.cut: set[str] = set()
        self.down: set[Node] = set()
        self.answering = {"operator->a/db", "operator->a/db.2", "operator->b/db", "a/db->b/db"}
        self.kept: list[tuple[str, list[dict[str, Any]]]] = []
        self.events: list[tuple[Any, ...]] = []

    def address(self, link: Link) -> str:
        return f"{link}"

    def runs(self, node: Node) -> bool:
        return node not in self.down

    @contextmanager
    def held(self, node: Node) -> Iterator[None]:
        self.done.append(f"stop {node}")
        try:
            yield
        finally:
            self.done.append(f"start {node}")

    def knock(self, region: str) -> None:
        self.done.append(f"knock {region}")
        if region in self.cut:
            raise Unreachable(f"region {region} is out of reach")

    def pull_from(self, node: Node, nodes: object) -> None:
        assert nodes is self
        self.done.append(f"pull {node}")

    @contextmanager
    def restored(self, at_us: int) -> Iterator[tuple[Node, str]]:
        self.done.append(f"restored {at_us}")
        yield Node("w", "restored"), "auditor@restored"
        self.done.append("restored is gone")

    def keep(self, table: str, rows: list[dict[str, Any]], at_ns: int) -> None:
        assert at_ns > 0
        self.kept.append((table, rows))

    def event(self, *what: Any, **detail: Any) -> None:
        self.events.append((*what, detail))


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    """What is done to databases is written down, and not done."""
    parts = Parts()

    def writes(name: str, *, gives: Any = None) -> Any:
        def call(*given: Any) -> Any:
            words = [one.name if isinstance(one, Postgres) else str(one) for one in given]
            parts.done.append(" ".join([name, *words]))
            return gives

        return call

    for name in ("promote", "follow", "await_streaming", "replicate"):
        monkeypatch.setattr(operating, name, writes(name))
    monkeypatch.setattr(standby, "rejoin", writes("rejoin", gives="rewound"))
    monkeypatch.setattr(standby, "stand_alone", writes("stand_alone"))
    monkeypatch.setattr(module, "answers", lambda address: address in parts.answering)
    monkeypatch.setattr(standby, "conninfo", lambda address: f"to:{address}")
    return parts


def databases(parts: Parts, flaw: str | None = None, **changes: Any) -> ReplicatedDatabases:
    system = replace(load_system("refpay-two-regions"), **changes)
    assembly = Assembly(
        run="r", system=system, topology=topology_of(system),
        secrets=sow(), seed=0, flaw=flaw,
        work=Path(), logs=Path(), on_event=parts.event, keep=cast(Any, parts.keep),
    )  # fmt: skip
    known = Members(
        cast(Any, {node: Postgres(str(node)) for node in (A, A2, B)}),
        cast(Any, Postgres("w/witness")),
        {},
        cast(Any, parts),
    )
    return ReplicatedDatabases(
        assembly, known, cast(Nodes, parts), parts.knock, cast(Archiving, parts)
    )


# --- what commits wait for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "mode", "names"),
    [
        (A, "asynchronous", ()),
        (A, "synchronous", ("b/db",)),
        (A2, "synchronous", ("b/db",)),
        (B, "synchronous", ("a/db", "a/db.2")),
        (A, "quorum", ("a/db.2", "b/db")),
        (B, "quorum", ("a/db", "a/db.2")),
    ],
)
def test_synchronous_is_the_other_region_and_a_quorum_is_any_other(
    parts: Parts, node: Node, mode: str, names: tuple[str, ...]
) -> None:
    databases(parts).replicate(node, mode)
    assert parts.done == [f"replicate operator@operator->{node} {mode} {names}"]
    assert parts.events == [("node", str(node), "replicates", {"mode": mode})]


def test_the_mode_is_that_of_the_system(parts: Parts) -> None:
    assert databases(parts).mode == "asynchronous"
    assert databases(parts, replication="quorum").mode == "quorum"


@pytest.mark.parametrize(
    ("flaw", "first"),
    [(None, False), ("promote-a-lagging-standby", True), ("key-per-attempt", False)],
)
def test_a_flaw_of_the_runbook_is_known_by_its_name(
    parts: Parts, flaw: str | None, first: bool
) -> None:
    assert databases(parts, flaw).chooses_first is first


# --- who is asked, and over which way --------------------------------------------------------


def test_the_first_primary_comes_first(parts: Parts) -> None:
    assert databases(parts).nodes() == (A, A2, B)


def test_a_source_is_named_by_the_link_that_leads_there(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def standing(url: str) -> Standing:
        asked.append(url)
        return Standing(False, 2, 70, 60, "b/db->a/db.2")

    monkeypatch.setattr(operating, "standing", standing)
    assert databases(parts).standing(B) == Standing(False, 2, 70, 60, "a/db.2")
    assert asked == ["operator@operator->b/db"]
    monkeypatch.setattr(operating, "standing", lambda _: Standing(False, 2, 70, 60, "elsewhere:1"))
    assert databases(parts).standing(B).source is None


def test_the_witness_is_asked_as_the_service_and_others_as_the_operator(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "ask", lambda *question: asked.append(question) or [])
    databases(parts).rows(WITNESS, "select 1")
    databases(parts).rows(A, "select $1", 2)
    assert asked == [
        ("service@operator->w/witness", "select 1"),
        ("operator@operator->a/db", "select $1", 2),
    ]


def test_what_is_no_database_is_refused(parts: Parts) -> None:
    with pytest.raises(EnvironmentBroke, match="psp is no database"):
        databases(parts).promote(Node(None, "psp"))


def test_promoting_and_following_are_done_and_told(parts: Parts) -> None:
    databases(parts).promote(B)
    databases(parts).follow(A2, B)
    assert parts.done == [
        "promote operator@operator->b/db",
        "follow operator@operator->a/db.2 to:a/db.2->b/db a/db.2->b/db",
    ]
    assert parts.events == [
        ("node", "b/db", "promoted", {}),
        ("node", "a/db.2", "follows", {"source": "b/db"}),
    ]


# --- what takes a machine --------------------------------------------------------------------


def test_a_primary_is_fenced_where_it_runs(parts: Parts) -> None:
    databases(parts).fence(A)
    assert parts.done == ["knock a", "stop a/db", "stand_alone a/db", "start a/db"]


def test_a_former_primary_is_rewound_where_it_runs(parts: Parts) -> None:
    assert databases(parts).rejoin(A, B) == "rewound"
    assert parts.done == [
        "knock a",
        "stop a/db",
        "rejoin a/db a/db->b/db",
        "start a/db",
        "await_streaming operator@operator->a/db a/db->b/db",
    ]
    assert parts.events == [("node", "a/db", "rejoined", {"source": "b/db", "how": "rewound"})]


@pytest.mark.parametrize("what", ["fence", "rejoin"])
def test_a_machine_out_of_reach_is_left_alone(parts: Parts, what: str) -> None:
    """A partition hides it from operators, too: nobody fences by ending what it hides."""
    parts.cut = {"a"}
    given = (A,) if what == "fence" else (A, B)
    with pytest.raises(Unreachable, match="region a is out of reach"):
        getattr(databases(parts), what)(*given)
    assert parts.done == ["knock a"]
    assert parts.events == []


def test_a_primary_that_only_the_way_to_is_cut_is_not_fenced(parts: Parts) -> None:
    parts.answering.remove("operator->a/db")
    with pytest.raises(Unreachable, match="a/db runs, and there is no way to it"):
        databases(parts).fence(A)
    assert parts.done == ["knock a"]
    assert parts.events == []


def test_a_primary_that_is_down_is_fenced_whatever_the_way_to_it(parts: Parts) -> None:
    parts.answering.remove("operator->a/db")
    parts.down.add(A)
    databases(parts).fence(A)
    assert parts.done == ["knock a", "stop a/db", "stand_alone a/db", "start a/db"]


def test_a_former_primary_that_does_not_reach_its_source_is_no_defect(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise EnvironmentBroke("copying a database failed")

    monkeypatch.setattr(standby, "rejoin", broken)
    parts.answering.remove("a/db->b/db")
    with pytest.raises(Unreachable, match="a/db does not reach its source: copying a database f"):
        databases(parts).rejoin(A, B)
    assert parts.done == ["knock a", "stop a/db", "start a/db"]


@pytest.mark.parametrize(("what", "step"), [("fence", "stand_alone"), ("rejoin", "rejoin")])
def test_a_database_starts_again_whatever_happened_while_it_was_stopped(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, what: str, step: str
) -> None:
    def broken(*_: object) -> None:
        raise EnvironmentBroke("the disk is full")

    monkeypatch.setattr(standby, step, broken)
    with pytest.raises(EnvironmentBroke, match="the disk is full"):
        getattr(databases(parts), what)(*((A,) if what == "fence" else (A, B)))
    assert parts.done == ["knock a", "stop a/db", "start a/db"]
    assert parts.events == []


def test_the_archive_is_told_whose_log_to_pull(parts: Parts) -> None:
    databases(parts).archive_from(B)
    assert parts.done == ["knock w", "pull b/db"]


# --- what they hold --------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every database holds one payment and no key; the URLs that were read."""
    urls: list[str] = []

    def read(url: str, queries: Any) -> Snapshot:
        urls.append(url)
        assert set(queries) == {"snapshots", "commits", "snapshot_keys"}
        rows: dict[str, list[dict[str, Any]]] = {
            "snapshots": [{"payment": "p1"}],
            "snapshot_keys": [],
        }
        return Snapshot(rows, {"snapshot_keys": "it is unlogged"})

    monkeypatch.setattr(module, "read_snapshot", read)
    return urls


def test_what_a_database_holds_is_kept_with_its_moment(parts: Parts, held: list[str]) -> None:
    databases(parts).snapshot("promoted", B)
    assert held == ["auditor@operator->b/db"]
    assert parts.kept == [
        ("snapshots", [{"moment": "promoted", "node": "b/db", "payment": "p1"}]),
        ("snapshot_keys", []),
    ]
    assert parts.events == [
        (
            "node",
            "b/db",
            "read",
            {
                "moment": "promoted",
                "rows": {"snapshots": 1, "snapshot_keys": 0},
                "unreadable": {"snapshot_keys": "it is unlogged"},
            },
        )
    ]


def test_a_restored_database_is_read_while_it_is_there(parts: Parts, held: list[str]) -> None:
    all_of_them = databases(parts)
    with all_of_them.restored(77) as node:
        all_of_them.snapshot("restored", node)
    assert held == ["auditor@restored"]
    assert parts.done == ["knock w", "restored 77", "restored is gone"]
    with pytest.raises(EnvironmentBroke, match="w/restored is no database"):
        all_of_them.snapshot("restored", node)


# --- one snapshot, for real ------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[Member]:
    scratch = passable_folder()
    with Supervisor.started() as launcher:
        launcher.sweep(scratch)
        with members(scratch, launcher, "a/db") as made:
            one = made["a/db"]
            one.ask("create table t (n int)")
            one.ask("insert into t values (1), (2)")
            yield one


def auditor(member: Member) -> str:
    return member.postgres.url("auditor", member.address)


def test_all_queries_see_one_moment_and_change_nothing(real: Member) -> None:
    moment = (
        "select now()::text as at, pg_current_snapshot()::text as seen, "
        "current_setting('transaction_isolation') as isolation, "
        "current_setting('transaction_read_only') as only"
    )
    found = read_snapshot(
        auditor(real), {"one": moment, "t": "select n from t order by n", "two": moment}
    )
    assert list(found.rows) == ["one", "t", "two"]
    assert found.rows["one"] == found.rows["two"]
    assert found.rows["one"][0]["isolation"] == "repeatable read"
    assert found.rows["one"][0]["only"] == "on"
    assert found.rows["t"] == [{"n": 1}, {"n": 2}]
    assert found.unreadable == {}


def test_what_a_query_gives_nothing_of_is_empty(real: Member) -> None:
    assert read_snapshot(auditor(real), {"t": "select n from t where n > 9"}).rows == {"t": []}
    assert read_snapshot(auditor(real), {}).rows == {}


def test_a_table_that_is_not_in_the_log_has_no_rows_on_a_standby() -> None:
    scratch = passable_folder()
    queries = {"t": "select n from t", "u": "select n from u"}
    with Supervisor.started() as launcher:
        launcher.sweep(scratch)
        with members(scratch, launcher, "a/db", "b/db") as made:
            made["a/db"].ask("create table t (n int)")
            made["a/db"].ask("create unlogged table u (n int)")
            made["a/db"].ask("insert into t values (1)")
            made["a/db"].ask("insert into u values (1)")
            operating.await_replayed(made["a/db"].operator, ["b/db"])
            here = read_snapshot(auditor(made["a/db"]), queries)
            there = read_snapshot(auditor(made["b/db"]), queries)
    assert here.rows == {"t": [{"n": 1}], "u": [{"n": 1}]}
    assert here.unreadable == {}
    assert there.rows == {"t": [{"n": 1}], "u": []}
    assert "unlogged" in there.unreadable["u"]


@pytest.mark.parametrize("sql", ["select nothing from t", "insert into t values (3)", "selec"])
def test_a_query_that_fails_is_a_defect_of_the_system_file(real: Member, sql: str) -> None:
    with pytest.raises(EnvironmentBroke, match=real.address):
        read_snapshot(auditor(real), {"t": sql})


def test_a_database_that_is_away_is_out_of_reach() -> None:
    with pytest.raises(Unreachable):
        read_snapshot("postgresql://auditor@127.0.0.1:1/payments", {"t": "select 1"})


def test_a_database_that_runs_answers_whoever_knocks(real: Member) -> None:
    assert answers(real.address)
    assert not answers("127.0.0.1:1")

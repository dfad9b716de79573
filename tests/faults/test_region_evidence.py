"""Whether a fault of regions bit, told from what databases, archive and customers left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from payresil.core.protocols import Window
from payresil.core.registry import faults
from payresil.core.results import Doubt, Measure
from payresil.core.run import Run
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

S = 1_000_000_000
MS = 1_000_000
START, END = 10 * S, 20 * S

Row = dict[str, Any]

_TOPOLOGY = topology_of(load_system("refpay-two-regions"))
META = {
    "nodes": [str(node) for node in _TOPOLOGY.nodes],
    "links": [str(link) for link in _TOPOLOGY.links],
}


def injected(name: str, **parameters: Any) -> list[Row]:
    detail = json.dumps(parameters)
    return [
        {"kind": "fault", "name": name, "what": "inject", "at_ns": START, "detail": detail},
        {"kind": "fault", "name": name, "what": "injected", "at_ns": START + MS, "detail": "{}"},
        {"kind": "fault", "name": name, "what": "healed", "at_ns": END, "detail": "{}"},
    ]


def samples(
    node: str,
    lag_s: Mapping[int, float],
    connected: Mapping[int, float] | None = None,
    what: str = "replication",
) -> list[Row]:
    """One sample a second, of what was level and connected but for what is said."""
    found = []
    for second in range(30):
        values = {
            f"{what}_lag_seconds": lag_s.get(second, 0.0),
            f"{what}_connected": (connected or {}).get(second, 1.0),
        }
        found += [
            {"at_ns": second * S, "node": node, "metric": metric, "labels": "", "value": value}
            for metric, value in values.items()
        ]
    return found


def ask(
    name: str,
    events: Sequence[Row],
    meta: Mapping[str, Any] = META,
    end: int | None = END,
    **tables: Sequence[Row],
) -> tuple[Mapping[str, Any], list[str]]:
    run = Run.from_rows(meta, events=events, **tables)
    results = list(faults.get(name).traits["evidence"](run, Window(name, START, end)))
    measures = {each.name: each.value for each in results if isinstance(each, Measure)}
    return measures, [each.message for each in results if isinstance(each, Doubt)]


PAUSED = injected("replication_pause", standby="b/db")


# --- standbys --------------------------------------------------------------------------------


def test_a_standby_that_fell_behind_shows_its_pause() -> None:
    rows = samples("b/db", {**dict.fromkeys(range(10), 0.1), 12: 2.0, 15: 4.5})
    measures, doubts = ask("replication_pause", PAUSED, samples=[*rows, *looks(30)])
    assert measures == {
        "replication_looks_unanswered_b/db": 0,
        "replication_lag_most_b/db": 4.5,
        "replication_lag_before_b/db": 0.1,
    }
    assert doubts == []


def test_a_standby_that_stayed_level_leaves_a_doubt() -> None:
    _, doubts = ask("replication_pause", PAUSED, samples=samples("b/db", {12: 0.4}))
    assert doubts == [
        "replication_pause left no trace: b/db stayed connected and was not further behind than "
        "before"
    ]


def test_without_any_sample_there_is_a_doubt() -> None:
    measures, doubts = ask("replication_pause", PAUSED, samples=[])
    assert set(measures.values()) == {0.0}
    assert len(doubts) == 1


def test_one_that_was_as_far_behind_before_shows_nothing() -> None:
    rows = samples("b/db", {3: 4.0, 12: 4.2})
    assert ask("replication_pause", PAUSED, samples=rows)[1]


def test_what_happened_after_it_healed_shows_nothing() -> None:
    rows = samples("b/db", {21: 9.0}, {22: 0.0})
    assert ask("replication_pause", PAUSED, samples=rows)[1]


def test_a_fault_that_never_healed_counts_to_the_end() -> None:
    rows = samples("b/db", {25: 9.0})
    assert not ask("replication_pause", PAUSED[:2], end=None, samples=rows)[1]


def test_another_standby_shows_nothing_of_this_one() -> None:
    rows = [*samples("b/db", {}), *samples("a/db.2", {12: 5.0})]
    assert ask("replication_pause", PAUSED, samples=rows)[1]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("standby_loss", {"node": "a/db.2"}),
        ("replication_lag", {"standby": "a/db.2", "delay": "1s"}),
        ("replication_pause", {"standby": "a/db.2"}),
    ],
)
def test_a_standby_that_was_cut_off_shows_it(name: str, parameters: Row) -> None:
    events = injected(name, **parameters)
    cut = samples("a/db.2", {}, dict.fromkeys(range(11, 20), 0.0))
    assert ask(name, events, samples=cut)[1] == []
    assert ask(name, events, samples=samples("a/db.2", {}))[1]


def looks(seconds: int) -> list[Row]:
    """The databases were looked at, once a second."""
    return [
        {"at_ns": n * S, "node": "a/db", "metric": "database_is_primary", "labels": "", "value": 1}
        for n in range(seconds)
    ]


def test_a_standby_that_says_nothing_while_others_do_is_gone() -> None:
    events = injected("standby_loss", node="a/db.2")
    silent = [row for row in samples("a/db.2", {}) if not START <= row["at_ns"] <= END]
    measures, doubts = ask("standby_loss", events, samples=[*silent, *looks(30)])
    assert measures["replication_looks_unanswered_a/db.2"] == 11
    assert doubts == []
    assert ask("standby_loss", events, samples=silent)[1]  # nobody looked


def test_one_that_was_away_already_does_not() -> None:
    rows = samples("a/db.2", {}, dict.fromkeys(range(5, 20), 0.0))
    assert ask("standby_loss", injected("standby_loss", node="a/db.2"), samples=rows)[1]


@pytest.mark.parametrize("selector", ["db.2", "a/db.2"])
def test_a_standby_is_found_by_a_part_of_its_name(selector: str) -> None:
    events = injected("standby_loss", node=selector)
    measures, doubts = ask("standby_loss", events, samples=samples("a/db.2", {15: 3.0}))
    assert measures["replication_lag_most_a/db.2"] == 3.0
    assert doubts == []


def test_of_several_every_standby_must_show_it_and_the_primary_need_not() -> None:
    events = injected("replication_pause", standby="db")
    behind = [*samples("a/db.2", {15: 3.0}), *samples("b/db", {15: 3.0})]
    assert ask("replication_pause", events, samples=behind)[1] == []
    one = [*samples("a/db.2", {15: 3.0}), *samples("b/db", {})]
    (doubt,) = ask("replication_pause", events, samples=one)[1]
    assert "left no trace: b/db stayed connected" in doubt


def test_a_run_that_does_not_list_its_nodes_is_asked_for_the_name_itself() -> None:
    rows = samples("b/db", {15: 3.0})
    assert ask("replication_pause", PAUSED, meta={}, samples=rows)[1] == []


# --- the archive -----------------------------------------------------------------------------


def test_an_archive_that_took_nothing_shows_its_loss() -> None:
    events = injected("archive_loss")
    rows = samples("w/archive", {15: 5.0}, what="archive")
    measures, doubts = ask("archive_loss", events, samples=rows)
    assert measures["archive_lag_most_w/archive"] == 5.0
    assert doubts == []


def test_an_archive_that_kept_up_does_not() -> None:
    events = injected("archive_loss")
    rows = samples("w/archive", {}, what="archive") + samples("w/archive", {15: 5.0})
    assert ask("archive_loss", events, samples=rows)[1]
    assert ask("archive_loss", events, samples=[])[1]


# --- regions and the witness, told by customers ----------------------------------------------


def attempts(count: int, start: int, took: int, outcome: str = "ok") -> list[Row]:
    return [
        {
            "intent": f"r-{start}-{n}",
            "source": "load",
            "outcome": outcome,
            "sent_ns": start + n * 20 * MS,
            "done_ns": start + n * 20 * MS + took,
        }
        for n in range(count)
    ]


STEADY = attempts(200, 0, 20 * MS)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("region_loss", {"region": "a", "how": "dies"}),
        ("witness_loss", {}),
        ("region_partition", {"region": "a", "others": ["w"], "lost": "both"}),
    ],
)
def test_customers_notice_or_there_is_a_doubt(name: str, parameters: Row) -> None:
    events = injected(name, **parameters)
    failed = [*STEADY, *attempts(100, START, 20 * MS, "unknown")]
    assert ask(name, events, attempts=failed, samples=[])[1] == []
    usual = [*STEADY, *attempts(100, START, 20 * MS)]
    assert ask(name, events, attempts=usual, samples=[])[1]
    assert ask(name, events, attempts=[], samples=[])[1]


PARTED = injected("region_partition", region="a", others=["b"], lost="both")
USUAL = [*STEADY, *attempts(100, START, 20 * MS)]


def test_a_standby_on_the_other_side_shows_a_partition_that_no_customer_noticed() -> None:
    rows = [*samples("b/db", {15: 6.0}), *samples("a/db.2", {})]
    measures, doubts = ask("region_partition", PARTED, attempts=USUAL, samples=rows)
    assert measures["replication_lag_most_b/db"] == 6.0
    assert doubts == []


def test_a_partition_that_nobody_noticed_is_doubted_by_all() -> None:
    rows = [*samples("b/db", {}), *samples("a/db.2", {})]
    _, doubts = ask("region_partition", PARTED, attempts=USUAL, samples=rows)
    assert len(doubts) >= 3


def test_customers_who_noticed_a_partition_show_it_though_standbys_did_not() -> None:
    failed = [*STEADY, *attempts(100, START, 20 * MS, "unknown")]
    rows = [*samples("b/db", {}), *samples("a/db.2", {})]
    assert ask("region_partition", PARTED, attempts=failed, samples=rows)[1] == []


def test_a_standby_of_the_same_side_shows_nothing_of_a_partition() -> None:
    parted = injected("region_partition", region="b", others=["w"], lost="both")
    rows = samples("a/db.2", {15: 6.0})
    assert ask("region_partition", parted, attempts=USUAL, samples=rows)[1]


# --- who answers -----------------------------------------------------------------------------


def answered(by: str, rows: list[Row]) -> list[Row]:
    return [{**row, "instance": by} for row in rows]


LOST = injected("region_loss", region="a", how="dies")


def test_a_region_that_answers_nobody_any_more_is_lost_though_all_are_answered() -> None:
    rows = [
        *answered("a/service.1", STEADY),
        *answered("b/service.2", attempts(100, START, 20 * MS)),
    ]
    measures, doubts = ask("region_loss", LOST, attempts=rows)
    assert measures["attempts_answered_by_target"] == 0
    assert measures["attempts_answered_by_target_steady"] == 200
    assert doubts == []


def test_a_region_that_goes_on_answering_is_not_lost() -> None:
    rows = answered("a/service.1", USUAL)
    assert ask("region_loss", LOST, attempts=rows)[1]


def test_a_region_that_never_answered_anybody_shows_nothing() -> None:
    lost = injected("region_loss", region="b", how="dies")
    assert ask("region_loss", lost, attempts=answered("a/service.1", USUAL))[1]


@pytest.mark.parametrize(
    ("earlier", "steady"),
    [({"replication_lag": {"standby": "b/db", "delay": "1s"}}, 200), ({"reset": {}}, 0)],
)
def test_the_steady_phase_goes_on_while_customers_need_not_notice_anything(
    earlier: Mapping[str, Row], steady: int
) -> None:
    ((name, parameters),) = earlier.items()
    events = [{**row, "at_ns": row["at_ns"] - START} for row in injected(name, **parameters)[:2]]
    rows = [*STEADY, *attempts(100, START, 20 * MS, "unknown")]
    run = Run.from_rows(META, events=[*LOST, *events], attempts=rows)
    results = list(
        faults.get("region_loss").traits["evidence"](run, Window("region_loss", START, END))
    )
    doubts = [each for each in results if isinstance(each, Doubt)]
    assert bool(doubts) == (steady == 0)


@pytest.mark.parametrize(("outcome", "steady"), [("ok", 200), ("unknown", 50)])
def test_but_not_where_they_did_notice(outcome: str, steady: int) -> None:
    paused = [
        {**row, "at_ns": row["at_ns"] - 9 * S}
        for row in injected("replication_pause", standby="b/db")[:2]
    ]
    asked = {"operation": "pay", "n": 1}
    before = [
        {**row, **asked, "due_ns": row["sent_ns"], "outcome": "ok" if n < 50 else outcome}
        for n, row in enumerate(STEADY)
    ]
    rows = [*before, *attempts(100, START, 20 * MS, "unknown")]
    measured, _ = ask("region_loss", [*LOST, *paused], attempts=answered("a/service.1", rows))
    assert measured["attempts_answered_by_target_steady"] == steady

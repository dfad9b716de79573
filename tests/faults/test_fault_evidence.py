"""Whether a fault bit, told from histories written down by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.protocols import Window
from payresil.core.registry import faults
from payresil.core.results import Doubt, Measure
from payresil.core.run import Run

S = 1_000_000_000
MS = 1_000_000
START, END = 10 * S, 20 * S

Row = dict[str, Any]


def fault_events(name: str, start: int = START, end: int = END, **parameters: Any) -> list[Row]:
    detail = json.dumps(parameters)
    return [
        {"kind": "fault", "name": name, "what": "inject", "at_ns": start, "detail": detail},
        {"kind": "fault", "name": name, "what": "injected", "at_ns": start, "detail": "{}"},
        {"kind": "fault", "name": name, "what": "healed", "at_ns": end, "detail": "{}"},
    ]


def node_event(at_ns: int, name: str, what: str) -> Row:
    return {"kind": "node", "name": name, "what": what, "at_ns": at_ns, "detail": "{}"}


def attempts(
    count: int, start: int, took: int, outcome: str = "ok", source: str = "load", gap: int = 20 * MS
) -> list[Row]:
    return [
        {
            "intent": f"r-{start}-{n}",
            "source": source,
            "outcome": outcome,
            "sent_ns": start + n * gap,
            "done_ns": start + n * gap + took,
        }
        for n in range(count)
    ]


def ask(
    name: str, *, events: Sequence[Row], end: int | None = END, **tables: Sequence[Row]
) -> tuple[Mapping[str, Any], list[str]]:
    """Measures by name, and doubts."""
    run = Run.from_rows({}, events=events, **tables)
    window = Window(str(events[0]["name"]), START, end)
    results = list(faults.get(name).traits["evidence"](run, window))
    measures = {each.name: each.value for each in results if isinstance(each, Measure)}
    return measures, [each.message for each in results if isinstance(each, Doubt)]


STEADY = attempts(200, 0, 20 * MS)
USUAL = attempts(200, START, 20 * MS)


# --- the PSP's rules ------------------------------------------------------------------------


def psp_row(n: int, rule: str | None, point: str | None, answered: bool = False) -> Row:
    return {
        "request": f"req_{n}",
        "endpoint": "payment_intents.create",
        "reference": f"r-{n // 2}",
        "received_ns": START + n,
        "answered_ns": START + n + 1 if answered else None,
        "rule": rule,
        "point": point,
    }


@pytest.mark.parametrize(
    ("name", "point", "measure"),
    [
        ("psp_lost_answers", "after_commit_lost", "answers_lost"),
        ("psp_errors", "before_commit", "errors_answered"),
        ("psp_wrong_answers", "after_commit_wrong", "wrong_answers"),
    ],
)
def test_a_psp_fault_bit_when_requests_show_its_rule(name: str, point: str, measure: str) -> None:
    rows = [
        psp_row(0, name, point),
        psp_row(1, name, point),
        psp_row(2, name, point),
        psp_row(3, f"{name}.2", point),  # another step of the same fault
        psp_row(4, None, None, answered=True),
    ]
    measures, doubts = ask(name, events=fault_events(name), psp_attempts=rows)
    assert measures[measure] == 3
    assert measures["intents_touched"] == 2
    assert not doubts


def test_a_rule_that_matched_nothing_is_doubted_and_says_what_was_asked_for() -> None:
    events = fault_events("psp_lost_answers", endpoint="refunds.create")
    rows = [psp_row(n, None, None, answered=True) for n in range(4)]
    measures, doubts = ask("psp_lost_answers", events=events, psp_attempts=rows)
    assert measures["answers_lost"] == 0
    assert doubts == [
        "psp_lost_answers matched no request at the PSP: the rule is for refunds.create, "
        "and it was asked for payment_intents.create 4 times"
    ]
    _, doubts = ask("psp_lost_answers", events=events, psp_attempts=[])
    assert doubts[0].endswith("it was asked for nothing while the fault was active")


# --- links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["partition", "refused", "reset", "bandwidth"])
def test_a_link_fault_bit_when_attempts_fail_that_did_not_before(name: str) -> None:
    failing = attempts(20, START, 20 * MS, "unknown")
    measures, doubts = ask(name, events=fault_events(name), attempts=STEADY + failing + USUAL[:180])
    assert measures["attempts_failed_or_slow"] == 20
    assert measures["attempts_failed_or_slow_share"] == pytest.approx(0.1)
    assert measures["attempts_failed_or_slow_steady"] == 0
    assert not doubts


def test_it_bit_too_when_attempts_become_slow() -> None:
    slow = attempts(20, START, 900 * MS)
    measures, doubts = ask(
        "partition", events=fault_events("partition"), attempts=STEADY + slow + USUAL
    )
    assert measures["attempts_failed_or_slow"] == 20
    assert not doubts


def test_it_is_doubted_when_nobody_noticed() -> None:
    _, doubts = ask("partition", events=fault_events("partition"), attempts=STEADY + USUAL)
    assert doubts == [
        "partition left no trace: 0 of 200 attempts failed or were slow while it was active, "
        "0 of 200 in the steady phase"
    ]


def test_it_is_doubted_when_it_was_as_bad_before() -> None:
    bad_before = attempts(180, 0, 20 * MS) + attempts(20, 1, 20 * MS, "unknown")
    bad_during = attempts(180, START, 20 * MS) + attempts(20, START + 1, 20 * MS, "unknown")
    _, doubts = ask("partition", events=fault_events("partition"), attempts=bad_before + bad_during)
    assert len(doubts) == 1


def test_the_audit_and_what_was_over_before_do_not_count() -> None:
    audit = attempts(50, START, 20 * MS, "unknown", source="audit")
    before = attempts(50, START - 2 * S, 20 * MS, "unknown")
    after = attempts(50, END + 1, 20 * MS, "unknown")
    measures, _ = ask(
        "partition", events=fault_events("partition"), attempts=STEADY + USUAL + audit + after
    )
    assert measures["attempts_failed_or_slow"] == 0
    measures, _ = ask(
        "partition", events=fault_events("partition"), attempts=STEADY + USUAL + before
    )
    assert measures["attempts_failed_or_slow"] == 0
    assert measures["attempts_failed_or_slow_steady"] == 50


def test_what_was_under_way_when_it_came_counts() -> None:
    caught = attempts(10, START - 5 * MS, 3 * S, "unknown", gap=1)
    measures, doubts = ask("partition", events=fault_events("partition"), attempts=STEADY + caught)
    assert measures["attempts_failed_or_slow"] == 10
    assert not doubts


def test_without_traffic_or_a_steady_phase_it_is_doubted() -> None:
    events = fault_events("partition")
    _, doubts = ask("partition", events=events, attempts=STEADY)
    assert doubts == ["nobody asked for anything while partition was active"]
    _, doubts = ask("partition", events=events, attempts=USUAL)
    assert doubts == ["nothing to compare with: no attempt ended before partition; start later"]


def test_a_fault_that_was_never_healed_is_judged_to_the_end() -> None:
    events = fault_events("partition")[:2]
    failing = attempts(30, END + S, 20 * MS, "unknown")
    measures, doubts = ask("partition", events=events, end=None, attempts=STEADY + failing)
    assert measures["attempts_failed_or_slow"] == 30
    assert not doubts


@pytest.mark.parametrize(("delay", "jitter"), [("200ms", "50ms"), (0.2, 0.05)])
def test_latency_bit_when_attempts_took_that_much_longer(delay: Any, jitter: Any) -> None:
    events = fault_events("latency", delay=delay, jitter=jitter, link="service->psp")
    some = attempts(50, START, 175 * MS) + attempts(50, START, 168 * MS)
    measures, doubts = ask("latency", events=events, attempts=STEADY + some + USUAL)
    assert measures["attempts_delayed"] == 50  # 20 ms is usual, and 150 ms at least are added
    assert measures["usual_duration"] == pytest.approx(0.02)
    assert not doubts
    _, doubts = ask("latency", events=events, attempts=STEADY + USUAL)
    assert "took 150 ms longer than usual" in doubts[0]


@settings(max_examples=15, deadline=None)
@given(before=st.integers(0, 30), during=st.integers(0, 30))
def test_more_failures_during_the_fault_never_make_it_less_certain(
    before: int, during: int
) -> None:
    def doubted(count: int) -> bool:
        rows = (
            attempts(60, 0, 20 * MS)
            + attempts(before, 1, 20 * MS, "unknown")
            + attempts(60, START, 20 * MS)
            + attempts(count, START + 1, 20 * MS, "unknown")
        )
        return bool(ask("refused", events=fault_events("refused"), attempts=rows)[1])

    assert doubted(during) or not doubted(during + 5)


def answered_by(name: str | None, rows: list[Row]) -> list[Row]:
    return [{**row, "instance": name} for row in rows]


def test_it_bit_too_when_others_had_to_answer() -> None:
    one, two = "a/service.1", "a/service.2"
    events = fault_events("refused", link="lb->service.1")
    steady = answered_by(one, STEADY[::2]) + answered_by(two, STEADY[1::2])
    measures, doubts = ask("refused", events=events, attempts=steady + answered_by(two, USUAL))
    assert measures["attempts_failed_or_slow"] == 0
    assert measures["attempts_answered_by_target"] == 0
    assert measures["attempts_answered_by_target_steady"] == 100
    assert not doubts
    both = answered_by(one, USUAL[::2]) + answered_by(two, USUAL[1::2])
    _, doubts = ask("refused", events=events, attempts=steady + both)
    assert "left no trace" in doubts[0]


@pytest.mark.parametrize("name", [None, "i-0af3", "it's me"])
def test_instances_that_go_by_other_names_show_nothing(name: str | None) -> None:
    events = fault_events("refused", link="lb->service.1")
    rows = answered_by(name, STEADY + USUAL)
    measures, doubts = ask("refused", events=events, attempts=rows)
    assert "attempts_answered_by_target" not in measures
    assert "left no trace" in doubts[0]


# --- nodes ----------------------------------------------------------------------------------


KILLED = [
    *fault_events("crash", node="service.1"),
    node_event(START + 1, "a/service.1", "killed"),
    node_event(START + 2, "a/db", "killed"),  # by another fault
    node_event(END - 1, "a/service.1", "started"),
]


def test_a_crash_bit_when_the_node_was_killed_and_customers_noticed() -> None:
    failing = attempts(20, START, 20 * MS, "unknown")
    measures, doubts = ask("crash", events=KILLED, attempts=STEADY + failing + USUAL[:180])
    assert measures["nodes_killed"] == 1
    assert measures["attempts_failed_or_slow"] == 20
    assert not doubts


@pytest.mark.parametrize(
    ("fault", "begins", "ends"), [("crash", "killed", "started"), ("pause", "paused", "resumed")]
)
def test_a_node_held_so_shortly_that_nobody_noticed_is_doubted(
    fault: str, begins: str, ends: str
) -> None:
    end = START + 5 * MS
    events = [
        *fault_events(fault, end=end, node="service.1"),
        node_event(START + 1, "a/service.1", begins),
        node_event(end - 1, "a/service.1", ends),
    ]
    rows = answered_by("a/service.1", STEADY + USUAL)
    measures, doubts = ask(fault, events=events, end=end, attempts=rows)
    assert measures[f"nodes_{begins}"] == 1
    assert len(doubts) == 1
    assert "left no trace" in doubts[0]


def test_a_crash_bit_when_others_had_to_answer_for_the_node() -> None:
    one, two = "a/service.1", "a/service.2"
    steady = answered_by(one, STEADY[::2]) + answered_by(two, STEADY[1::2])
    _, doubts = ask("crash", events=KILLED, attempts=steady + answered_by(two, USUAL))
    assert not doubts


def scrape(at_ns: int, node: str, up: int) -> Row:
    return {"at_ns": at_ns, "node": node, "metric": "up", "labels": "", "value": up}


@pytest.mark.parametrize(
    ("samples", "bit"),
    [
        ([scrape(S, "a/service.1", 1), scrape(START + S, "a/service.1", 0)], True),
        ([scrape(S, "a/service.1", 1), scrape(START + S, "a/service.1", 1)], False),
        ([scrape(S, "a/service.1", 1), scrape(END + S, "a/service.1", 0)], False),
        ([scrape(S, "a/service.1", 0), scrape(START + S, "a/service.1", 0)], False),
        ([scrape(S, "a/service.2", 1), scrape(START + S, "a/service.2", 0)], False),
    ],
)
def test_a_crash_bit_when_the_node_no_longer_gave_its_metrics(
    samples: list[Row], bit: bool
) -> None:
    _, doubts = ask("crash", events=KILLED, attempts=STEADY + USUAL, samples=samples)
    assert (not doubts) == bit


def test_a_node_that_was_down_already_was_down() -> None:
    events = [
        *fault_events("crash.2", node="a/db"),
        node_event(START - 5, "a/db", "killed"),
        node_event(END - 5, "a/db", "started"),
    ]
    failing = attempts(20, START, 20 * MS, "unknown")
    measures, doubts = ask("crash", events=events, attempts=STEADY + failing)
    assert measures["nodes_killed"] == 1
    assert not doubts


def test_a_node_that_was_up_all_the_time_was_not_killed() -> None:
    events = [
        *fault_events("pause", node="a/db"),
        node_event(START - 5, "a/db", "paused"),
        node_event(START - 4, "a/db", "resumed"),
        node_event(END + 1, "a/db", "paused"),
    ]
    measures, doubts = ask("pause", events=events, attempts=STEADY)
    assert measures["nodes_paused"] == 0
    assert doubts == ["no node was paused by pause"]

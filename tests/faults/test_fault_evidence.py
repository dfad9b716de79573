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
        {"kind": "fault", "name": name, "what": "injected", "at_ns": start + MS, "detail": "{}"},
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
        ("psp_lost_requests", "before_commit", "requests_lost"),
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


SLOW = fault_events("psp_slow", delay="400ms")


def slowed(n: int, took: int | None) -> Row:
    row = psp_row(n, "psp_slow", "before_commit")
    return row if took is None else {**row, "answered_ns": row["received_ns"] + took}


def test_a_slow_psp_bit_when_the_requests_it_held_took_that_long() -> None:
    rows = [slowed(0, 400 * MS), slowed(1, 399 * MS), slowed(2, 20 * MS), slowed(3, None)]
    measures, doubts = ask("psp_slow", events=SLOW, psp_attempts=rows)
    assert measures["requests_held"] == 4
    assert measures["requests_slowed"] == 2  # timers may be a millisecond early
    assert not doubts


@pytest.mark.parametrize("table", ["psp_charges", "psp_refunds"])
def test_where_nobody_waited_for_the_answer_the_money_shows_how_long_it_took(table: str) -> None:
    made = {"request": "req_0", "created_ns": START + 450 * MS}
    measures, doubts = ask(
        "psp_slow", events=SLOW, psp_attempts=[slowed(0, None)], **{table: [made]}
    )
    assert measures["requests_slowed"] == 1
    assert not doubts


def test_a_slow_psp_is_doubted_when_nothing_is_known_to_have_taken_long() -> None:
    _, doubts = ask("psp_slow", events=SLOW, psp_attempts=[slowed(0, 20 * MS), slowed(1, None)])
    assert doubts == [
        "psp_slow touched 2 requests at the PSP, and none of them is known to have taken 400 ms"
    ]
    _, doubts = ask("psp_slow", events=SLOW, psp_attempts=[])
    assert len(doubts) == 1
    assert "matched no request" in doubts[0]


def test_a_slow_psp_is_doubted_when_most_of_what_it_held_was_as_quick_as_ever() -> None:
    rows = [slowed(0, 400 * MS), *(slowed(n, 20 * MS) for n in range(1, 1000)), slowed(1000, None)]
    measures, doubts = ask("psp_slow", events=SLOW, psp_attempts=rows)
    assert measures["requests_slowed"] == 1
    assert doubts == [
        "psp_slow touched 1001 requests at the PSP, and of the 1000 of which it is known how long "
        "they took, only 1 took 400 ms"
    ]


# --- the PSP's limit of refunds ---------------------------------------------------------------

UNCHECKED = fault_events("psp_unchecked_refunds")


def customer(
    operation: str, kind: str, minor: int, at: int = START + S, intent: str = "r-1"
) -> Row:
    return {
        "intent": intent,
        "operation": operation,
        "kind": kind,
        "amount_minor": minor,
        "sent_ns": at,
        "done_ns": at + 20 * MS,
    }


PAID = customer("pay", "create", 1000, at=0)


@pytest.mark.parametrize(
    ("refunds", "beyond"),
    [
        ([customer("refund.1", "refund", 600), customer("refund.2", "refund", 600)], True),
        ([customer("refund.1", "refund", 600), customer("refund.2", "refund", 400)], False),
        # the same refund asked for again is no second one
        ([customer("refund.1", "refund", 600), customer("refund.1", "refund", 600)], False),
        ([customer("refund.1", "refund", 600, at=S), customer("refund.2", "refund", 600)], True),
        (
            [
                customer("refund.1", "refund", 600, at=S),
                customer("refund.2", "refund", 600, at=2 * S),
            ],
            False,
        ),
        (
            [customer("refund.1", "refund", 600), customer("refund.2", "refund", 600, at=END + S)],
            False,
        ),
        (
            [
                customer("refund.1", "refund", 600),
                customer("refund.1", "refund", 600, intent="r-2"),
            ],
            False,
        ),
        ([], False),
    ],
)
def test_the_psps_limit_was_missed_when_customers_asked_for_more_than_was_paid(
    refunds: list[Row], beyond: bool
) -> None:
    others = [customer("pay", "create", 9000, at=0, intent="r-2")]
    measures, doubts = ask(
        "psp_unchecked_refunds",
        events=UNCHECKED,
        attempts=[PAID, *others, *refunds],
        psp_attempts=[psp_row(0, "psp_unchecked_refunds", "unchecked")],
    )
    assert measures["payments_asked_back_beyond"] == int(beyond)
    assert (not doubts) == beyond


def test_the_psps_limit_was_not_missed_when_no_refund_reached_the_psp() -> None:
    refunds = [customer("refund.1", "refund", 600), customer("refund.2", "refund", 600)]
    others = [psp_row(0, None, None), psp_row(1, "psp_unchecked_refunds.2", "unchecked")]
    measures, doubts = ask(
        "psp_unchecked_refunds",
        events=UNCHECKED,
        attempts=[PAID, *refunds],
        psp_attempts=others,
    )
    assert measures["payments_asked_back_beyond"] == 1
    assert doubts == [
        "no refund reached the PSP while psp_unchecked_refunds was active: whether its limit is "
        "missed was not put to the test"
    ]


def test_what_the_psp_took_is_counted() -> None:
    rows = [psp_row(n, "psp_unchecked_refunds", "unchecked") for n in range(2)]
    charges = [
        {"captured_minor": 1000, "refunded_minor": 1200},
        {"captured_minor": 1000, "refunded_minor": 1000},
    ]
    measures, doubts = ask(
        "psp_unchecked_refunds", events=UNCHECKED, psp_attempts=rows, psp_charges=charges
    )
    assert measures["refunds_taken_unchecked"] == 2
    assert measures["charges_refunded_beyond"] == 1
    assert "nobody asked for more" in doubts[0]


# --- links ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["partition", "one_way_partition", "lost_answers", "refused", "reset", "bandwidth"]
)
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
    assert measures["attempts_quick_duration"] == pytest.approx(0.02)
    assert not doubts
    _, doubts = ask("latency", events=events, attempts=STEADY + USUAL)
    assert "took 150 ms longer than the quick" in doubts[0]


def test_what_was_delayed_counts_though_it_would_have_been_quick() -> None:
    events = fault_events("latency", delay="500ms", link="service->psp")
    uneven = [attempts(1, n * 20 * MS, (10 + n) * MS) for n in range(100)]
    delayed = [attempts(1, START, (510 + 4 * n) * MS) for n in range(20)]
    measures, doubts = ask("latency", events=events, attempts=sum(uneven + delayed, USUAL))
    assert measures["attempts_delayed"] >= 17  # a median of 60 ms would leave 8 of them out
    assert not doubts


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


# --- one fault beside another ---------------------------------------------------------------

LINK = "service->db"


def beside(
    name: str, start: int, end: int | None, kind: str = "bandwidth", **parameters: Any
) -> list[Row]:
    """The events of a fault under judgement, and of another one."""
    others = fault_events(name, start, end or 0, **parameters)
    return [*fault_events(kind, link=LINK), *(others if end is not None else others[:2])]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("psp_errors", {"share": 0.6}),
        ("partition", {"link": "service->psp"}),
        ("bandwidth.2", {"link": ["service->psp", "psp->router"]}),
        ("crash", {"node": "service.1"}),
    ],
)
@pytest.mark.parametrize(
    ("start", "end"), [(START, END), (START - S, END + S), (5 * S, None), (START + S, END)]
)
def test_another_fault_does_not_vouch_for_one_that_does_nothing(
    name: str, parameters: dict[str, Any], start: int, end: int | None
) -> None:
    events = beside(name, start, end, **parameters)
    failing = attempts(60, START + S, 20 * MS, "unknown")  # until 12.2 s
    measures, doubts = ask("bandwidth", events=events, attempts=STEADY + failing)
    assert measures["attempts_failed_or_slow"] == 0
    assert doubts == [
        f"bandwidth cannot be told from {name}: whatever was tried while it was active was under "
        "way in their time too, or within 2s after it"
    ]


def test_the_aftermath_of_another_fault_does_not_vouch_for_one_that_does_nothing() -> None:
    events = beside("partition", 5 * S, START - S, link="service->psp")
    failing = attempts(50, START - 5 * MS, 10 * MS, "unknown", gap=19 * MS)  # all before 11 s
    _, doubts = ask("bandwidth", events=events, attempts=STEADY + failing)
    assert "cannot be told from partition" in doubts[0]
    later = attempts(50, START + S + 1, 20 * MS, "unknown")
    measures, doubts = ask("bandwidth", events=events, attempts=STEADY + failing + later)
    assert measures["attempts_failed_or_slow"] == 50
    assert not doubts


def test_what_others_answered_in_the_time_of_another_fault_shows_nothing() -> None:
    one, two = "a/service.1", "a/service.2"
    events = [
        *fault_events("refused", link="lb->service.1"),
        *fault_events("crash", START, END, node="service.1"),
    ]
    steady = answered_by(one, STEADY[::2]) + answered_by(two, STEADY[1::2])
    _, doubts = ask("refused", events=events, attempts=steady + answered_by(two, USUAL))
    assert "cannot be told from crash" in doubts[0]


def test_a_stretch_of_its_own_shows_a_fault() -> None:
    events = beside("psp_errors", START + 2 * S, END, share=0.6)
    usual = attempts(50, START, 20 * MS)
    failing = attempts(60, START + 3 * S, 20 * MS, "unknown")
    _, doubts = ask("bandwidth", events=events, attempts=STEADY + usual + failing)
    assert doubts == [
        "bandwidth left no trace: 0 of 50 attempts failed or were slow while it alone was active, "
        "0 of 200 in the steady phase"
    ]
    alone = attempts(30, START, 20 * MS, "unknown")
    measures, doubts = ask("bandwidth", events=events, attempts=STEADY + usual + alone + failing)
    assert measures["attempts_failed_or_slow"] == 30
    assert not doubts


@pytest.mark.parametrize(
    ("link", "other"), [("psp->router", "service->psp"), ("service->psp", "psp->router")]
)
def test_faults_of_webhooks_and_of_attempts_are_told_apart(link: str, other: str) -> None:
    events = [*fault_events("partition", link=link), *fault_events("refused", link=other)]
    measures, doubts = ask(
        "partition",
        events=events,
        attempts=STEADY + attempts(50, START, 20 * MS, "unknown"),
        psp_events=TOLD_STEADY + deliveries(50, START, 20 * MS, delivered=False),
    )
    assert next(iter(measures.values())) == 50
    assert not doubts


def test_a_rule_of_the_psp_shows_by_itself_whatever_else_is_active() -> None:
    events = [*fault_events("psp_errors", share=0.5), *fault_events("partition", link=LINK)]
    rows = [psp_row(0, "psp_errors", "before_commit")]
    _, doubts = ask("psp_errors", events=events, psp_attempts=rows)
    assert not doubts


# --- the links of webhooks --------------------------------------------------------------------


def deliveries(count: int, start: int, took: int, delivered: bool = True) -> list[Row]:
    return [
        {
            "event": f"evt_{start}_{n}",
            "attempt": 1,
            "at_ns": start + n * 20 * MS,
            "answered_ns": start + n * 20 * MS + took,
            "status": 200 if delivered else None,
            "delivered": delivered,
        }
        for n in range(count)
    ]


CREATED = [{"event": "evt_1", "attempt": 0, "at_ns": START, "delivered": False}] * 300
TOLD_STEADY = deliveries(200, 0, 20 * MS)
TOLD = deliveries(200, START, 20 * MS)


@pytest.mark.parametrize(
    "name", ["partition", "one_way_partition", "lost_answers", "refused", "reset", "bandwidth"]
)
def test_a_fault_of_webhooks_bit_when_deliveries_failed(name: str) -> None:
    events = fault_events(name, link="psp->router")
    failing = deliveries(20, START, 20 * MS, delivered=False)
    measures, doubts = ask(
        name,
        events=events,
        psp_events=CREATED + TOLD_STEADY + failing + TOLD[:180],
        attempts=STEADY + USUAL,  # customers notice nothing
    )
    measure = "deliveries_failed" if name == "lost_answers" else "deliveries_failed_or_slow"
    assert measures[measure] == 20
    assert measures[f"{measure}_share"] == pytest.approx(0.1)
    assert "attempts_failed_or_slow" not in measures
    assert not doubts


def test_deliveries_that_another_fault_made_slow_show_no_lost_answers() -> None:
    late = deliveries(50, START, 900 * MS)
    _, doubts = ask(
        "lost_answers",
        events=fault_events("lost_answers", link="psp->router"),
        psp_events=TOLD_STEADY + late + TOLD[:150],
        attempts=STEADY + USUAL,
    )
    assert doubts == [
        "lost_answers left no trace: 0 of 200 deliveries failed while it was active, "
        "0 of 200 in the steady phase"
    ]


def test_it_is_doubted_when_deliveries_were_as_usual() -> None:
    events = fault_events("partition", link="psp->router")
    failing = attempts(50, START, 20 * MS, "unknown")  # of another fault
    _, doubts = ask(
        "partition",
        events=events,
        psp_events=CREATED + TOLD_STEADY + TOLD,
        attempts=STEADY + failing,
    )
    assert doubts == [
        "partition left no trace: 0 of 200 deliveries failed or were slow while it was active, "
        "0 of 200 in the steady phase"
    ]
    _, doubts = ask("partition", events=events, psp_events=CREATED + TOLD_STEADY)
    assert doubts == ["the PSP told nobody of anything while partition was active"]
    _, doubts = ask("partition", events=events, psp_events=CREATED + TOLD)
    assert doubts == ["nothing to compare with: no delivery ended before partition; start later"]


def test_slow_webhooks_are_seen_in_deliveries_and_not_in_attempts() -> None:
    events = fault_events("latency", delay="200ms", link="psp->router")
    late = deliveries(50, START, 225 * MS)
    measures, doubts = ask(
        "latency", events=events, psp_events=TOLD_STEADY + late + TOLD, attempts=STEADY + USUAL
    )
    assert measures["deliveries_delayed"] == 50
    assert not doubts
    _, doubts = ask("latency", events=events, psp_events=TOLD_STEADY + TOLD)
    assert "0 of 200 deliveries took 200 ms longer than the quick" in doubts[0]


@pytest.mark.parametrize(("customers_notice", "told"), [(True, True), (False, True), (True, False)])
def test_over_both_kinds_of_links_either_shows_it(customers_notice: bool, told: bool) -> None:
    events = fault_events("partition", link=["psp->router", "service->psp"])
    failing = attempts(50, START, 20 * MS, "unknown") if customers_notice else []
    undelivered = deliveries(50, START, 20 * MS, delivered=False) if told else []
    measures, doubts = ask(
        "partition",
        events=events,
        attempts=STEADY + USUAL + failing,
        psp_events=TOLD_STEADY + TOLD + undelivered,
    )
    assert measures["attempts_failed_or_slow"] == len(failing)
    assert measures["deliveries_failed_or_slow"] == len(undelivered)
    assert not doubts


def test_over_both_kinds_of_links_it_is_doubted_when_neither_shows_it() -> None:
    events = fault_events("partition", link=["psp->router", "service->psp"])
    _, doubts = ask(
        "partition", events=events, attempts=STEADY + USUAL, psp_events=TOLD_STEADY + TOLD
    )
    assert len(doubts) == 2
    assert "attempts failed" in doubts[0]
    assert "deliveries failed" in doubts[1]


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
    ("fault", "begins", "ends"),
    [
        ("crash", "killed", "started"),
        ("pause", "paused", "resumed"),
        ("restart", "stopped", "started"),
    ],
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


def test_a_restart_bit_when_the_node_was_stopped_and_customers_noticed() -> None:
    events = [
        *fault_events("restart", node="service"),
        node_event(START + 1, "a/service.1", "killed"),  # it did not end when asked to
        node_event(START + 2, "a/service.1", "stopped"),
        node_event(START + 3, "a/service.2", "stopped"),
        node_event(END - 1, "a/service.1", "started"),
        node_event(END - 1, "a/service.2", "started"),
    ]
    failing = attempts(20, START, 20 * MS, "unknown")
    measures, doubts = ask("restart", events=events, attempts=STEADY + failing + USUAL[:180])
    assert measures["nodes_stopped"] == 2
    assert not doubts


def test_a_crash_bit_when_others_had_to_answer_for_the_node() -> None:
    one, two = "a/service.1", "a/service.2"
    steady = answered_by(one, STEADY[::2]) + answered_by(two, STEADY[1::2])
    _, doubts = ask("crash", events=KILLED, attempts=steady + answered_by(two, USUAL))
    assert not doubts


def scrape(at_ns: int, node: str, up: int) -> Row:
    return {"at_ns": at_ns, "node": node, "metric": "up", "labels": "", "value": up}


def test_a_crash_that_the_harness_alone_noticed_is_doubted() -> None:
    samples = [scrape(S, "a/service.1", 1), scrape(START + S, "a/service.1", 0)]
    measures, doubts = ask("crash", events=KILLED, attempts=STEADY + USUAL, samples=samples)
    assert measures["scrapes_unanswered"] == 1
    assert len(doubts) == 1
    assert "left no trace" in doubts[0]


@pytest.mark.parametrize(
    ("samples", "silent"),
    [
        ([scrape(S, "a/service.1", 1), scrape(START + S, "a/service.1", 0)], 1),
        ([scrape(S, "a/service.1", 1), scrape(START + S, "a/service.1", 1)], 0),
        ([scrape(S, "a/service.1", 1), scrape(END + S, "a/service.1", 0)], 0),
        ([scrape(S, "a/service.1", 0), scrape(START + S, "a/service.1", 0)], 0),
        ([scrape(S, "a/service.2", 1), scrape(START + S, "a/service.2", 0)], 0),
    ],
)
def test_the_metrics_that_a_node_did_not_give_are_counted(samples: list[Row], silent: int) -> None:
    measures, _ = ask("crash", events=KILLED, attempts=STEADY + USUAL, samples=samples)
    assert measures["scrapes_unanswered"] == silent


@pytest.mark.parametrize("killed", [(START - 5,), (START - 5, START + 5), (START + 2 * MS,)])
def test_a_node_that_another_fault_held_was_not_killed_by_this_one(killed: tuple[int, ...]) -> None:
    events = [
        *fault_events("crash.2", node="a/db"),
        *(node_event(at_ns, "a/db", "killed") for at_ns in killed),
        node_event(END - 5, "a/db", "started"),
    ]
    failing = attempts(20, START, 20 * MS, "unknown")
    measures, doubts = ask("crash", events=events, attempts=STEADY + failing)
    assert measures["nodes_killed"] == 0
    assert doubts == ["no node was killed by crash.2"]


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

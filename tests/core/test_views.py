from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.run import Run

KEPT = ("intents", "client_books", "three_books")


def attempt(n, done_ns, outcome="ok", answer=None, source="load", **more):
    return {
        "intent": f"r-{n}",
        "n": n,
        "operation": "pay",
        "kind": "create",
        "source": source,
        "due_ns": done_ns - 2,
        "sent_ns": done_ns - 1,
        "done_ns": done_ns,
        "outcome": outcome,
        "answer": answer,
        "amount_minor": 5,
        "currency": "eur",
    } | more


def recorded(*attempts, **tables):
    return Run.from_rows({"run": "r"}, attempts=list(attempts), **tables)


def books(run):
    """State, and when it was acknowledged, by intent."""
    rows = run.rows("select intent, state, acknowledged_ns from client_books order by intent")
    return {intent: (state, ack) for intent, state, ack in rows}


def test_the_customer_s_first_answer_and_the_client_s_last_one():
    run = recorded(
        attempt(1, 10, "unknown"),
        attempt(1, 20, "ok", "authorized"),
        attempt(1, 30, "ok", "succeeded"),
    )
    columns = "ok_ns, answer, outcome, attempts, due_ns, last_ns"
    assert run.rows(f"select {columns} from intents") == [(20, "authorized", "ok", 3, 8, 30)]
    assert books(run) == {"r-1": ("succeeded", 30)}


def test_what_only_the_audit_saw():
    run = recorded(
        attempt(1, 10, "unknown"),
        attempt(1, 90, "ok", "succeeded", "audit", payment="p"),
        attempt(2, 10, "ok", "succeeded"),
        attempt(2, 90, "ok", "failed", "audit"),
        attempt(3, 10, "fail"),
        attempt(3, 90, "unknown", source="audit"),
        attempt(4, 90, "ok", "declined", "audit"),
        attempt(5, 90, "fail", source="audit"),
        attempt(6, 10, "fail"),
    )
    assert books(run) == {
        "r-1": ("succeeded", None),
        "r-2": ("failed", 10),
        "r-3": ("unknown", None),
        "r-4": ("declined", None),
        "r-5": ("fail", None),
        "r-6": ("fail", None),
    }
    outcomes = dict(run.rows("select intent, outcome from intents"))
    assert outcomes == {"r-1": "unknown", "r-2": "ok", "r-3": "fail", "r-6": "fail"}
    assert run.one("select payment from client_books where intent = 'r-1'") == "p"
    assert run.one("select payment from intents where intent = 'r-1'") is None


def test_other_operations_are_no_payments():
    run = recorded(attempt(1, 10), attempt(1, 50, "unknown", operation="refund.1", kind="refund"))
    assert run.rows("select attempts, last_ns from intents") == [(1, 10)]


def test_every_stretch_of_a_phase():
    def phase(at_ns, name, what):
        return {"at_ns": at_ns, "kind": "phase", "name": name, "what": what}

    run = recorded(
        events=[
            phase(-5, "steady", "begin"),
            phase(10, "steady", "end"),
            phase(10, "faulted", "begin"),
            phase(20, "faulted", "end"),
            phase(20, "recovering", "begin"),
            phase(30, "recovering", "end"),
            phase(30, "faulted", "begin"),
            phase(40, "faulted", "end"),
            phase(40, "recovering", "begin"),
        ]
    )
    assert run.rows("from phase_spans order by start_ns") == [
        ("steady", -5, 10),
        ("faulted", 10, 20),
        ("recovering", 20, 30),
        ("faulted", 30, 40),
        ("recovering", 40, None),
    ]
    assert run.one("select end_ns from phases where phase = 'faulted'") == 40


def test_a_reserved_number_without_its_row_has_its_intent():
    run = recorded(attempt(1, 10), reserved=[{"first": 1, "count": 3}])
    assert run.rows("from reserved_without_row order by n") == [(2, "r-2"), (3, "r-3")]


def test_three_books_has_a_row_for_whoever_speaks_of_an_intent():
    run = recorded(
        attempt(1, 10, "ok", "succeeded"),
        books_payments=[
            {"payment": "p2", "intent": "r-2", "state": "failed"},
            {"payment": "p2b", "intent": "r-2", "state": "succeeded", "captured_minor": 7},
            {"payment": "p9", "intent": None, "state": "odd"},
        ],
        psp_charges=[
            {
                "charge": "c",
                "reference": "r-3",
                "status": "succeeded",
                "captured_minor": 9,
                "refunded_minor": 9,
            },
            {"charge": "d", "reference": "r-3", "status": "succeeded", "captured_minor": 4},
            {"charge": "e", "reference": "r-4", "status": "failed", "captured_minor": 4},
            {"charge": "f", "reference": None, "status": "succeeded"},
        ],
    )
    assert run.rows(
        "select intent, told, booked_state, booked_minor, psp_captures, psp_kept, psp_minor, "
        "psp_refunded_minor from three_books order by intent"
    ) == [
        ("charge f", None, None, 0, 0, 0, 0, 0),
        ("payment p9", None, "odd", 0, 0, 0, 0, 0),
        ("r-1", "succeeded", None, 0, 0, 0, 0, 0),
        ("r-2", None, "succeeded", 7, 0, 0, 0, 0),
        ("r-3", None, None, 0, 2, 1, 13, 9),
    ]


def test_an_acknowledged_capture_acknowledges_the_payment():
    run = recorded(
        attempt(1, 10, "ok", "authorized"),
        attempt(1, 40, "unknown", None, operation="capture", kind="capture", amount_minor=3),
        attempt(1, 50, "ok", "succeeded", operation="capture", kind="capture", amount_minor=3),
        attempt(1, 60, "ok", "succeeded", operation="capture", kind="capture", amount_minor=3),
        attempt(2, 10, "ok", "authorized"),
        attempt(2, 50, "ok", "failed", operation="capture", kind="capture", amount_minor=3),
        attempt(3, 10, "ok", "authorized"),
        attempt(3, 50, "ok", "succeeded", operation="cancel", kind="cancel"),
        attempt(4, 10, "ok", "succeeded"),
        attempt(4, 50, "ok", "succeeded", operation="refund.1", kind="refund", amount_minor=2),
        attempt(4, 60, "fail", None, operation="refund.2", kind="refund", amount_minor=4),
    )
    columns = "intent, told, acknowledged_ns, expected_minor, told_refunded_minor"
    assert run.rows(f"select {columns} from three_books order by intent") == [
        ("r-1", "authorized", 50, 3, 0),
        ("r-2", "authorized", None, 3, 0),
        ("r-3", "authorized", None, 5, 0),
        ("r-4", "succeeded", 10, 5, 2),
    ]


def test_a_look_that_found_nothing_does_not_make_a_certain_failure_doubtful():
    run = recorded(
        attempt(1, 10, "fail"),
        attempt(1, 20, "unknown", kind="read"),
        attempt(2, 10, "unknown"),
        attempt(2, 20, "fail", kind="read"),
        attempt(3, 20, "unknown", kind="read"),
        attempt(4, 20, "fail", kind="read"),
    )
    wanted = {"r-1": "fail", "r-2": "unknown", "r-3": "unknown", "r-4": "unknown"}
    assert dict(run.rows("select intent, outcome from intents")) == wanted
    assert dict(run.rows("select intent, state from client_books")) == wanted


def test_timelines_of_several_are_those_of_each():
    run = recorded(*(attempt(n, n * 10, "ok", "succeeded") for n in range(1, 5)))
    several = run.timelines(["r-3", "r-1", "r-none"])
    assert several == {name: run.timeline(name) for name in ("r-3", "r-1", "r-none")}
    assert len(several["r-3"]) == 2
    assert several["r-none"] == ()
    assert run.timelines([]) == {}


attempts = st.builds(
    attempt,
    st.integers(1, 4),
    st.integers(0, 30),
    st.sampled_from(["ok", "fail", "unknown"]),
    st.sampled_from([None, "succeeded", "declined"]),
    st.sampled_from(["load", "audit"]),
)


@settings(deadline=None, max_examples=12)
@given(st.lists(attempts, max_size=20), st.integers())
def test_neither_order_nor_keeping_changes_a_row(rows, seed):
    run = recorded(*rows)
    before = {view: run.rows(f"from {view} order by intent") for view in KEPT}
    run.keep()
    run.keep()
    assert {view: run.rows(f"from {view} order by intent") for view in KEPT} == before
    random.Random(seed).shuffle(rows)
    again = recorded(*rows)
    assert {view: again.rows(f"from {view} order by intent") for view in KEPT} == before


@settings(deadline=None, max_examples=12)
@given(st.lists(attempts, max_size=20))
def test_what_the_client_knows_in_the_end_by_hand(rows):
    run = recorded(*rows)
    for intent, state, acknowledged_ns in run.rows(
        "select intent, state, acknowledged_ns from client_books"
    ):
        mine = [row for row in rows if row["intent"] == intent]
        answered = [row for row in mine if row["outcome"] == "ok"]
        if answered:
            last = max(answered, key=lambda row: (row["done_ns"], row["answer"] or "\uffff"))
            assert state == last["answer"]
        else:
            assert state == ("fail" if all(r["outcome"] == "fail" for r in mine) else "unknown")
        told = [
            row["done_ns"]
            for row in answered
            if row["answer"] == "succeeded" and row["source"] == "load"
        ]
        assert acknowledged_ns == min(told, default=None)

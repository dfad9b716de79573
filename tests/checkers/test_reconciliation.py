from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.reconciliation import reconciliation
from payresil.core.values import Duration


def kinds(said):
    """Type and intent of every break."""
    return [(f.message.split(":")[0], f.intent) for f in said.findings]


def test_a_flawless_run_agrees(history, ask):
    said = ask(reconciliation, history.run(), within=Duration(20))
    assert said.passes
    assert said.value("intents_judged") == said.value("payments_judged") == 20
    assert said.value("psp_charges_judged") == 18
    assert said.value("service_job_passes") == 1
    assert said.value("settle_time") == pytest.approx(0.5)
    assert said.measures["settle_time"].objective == "at most 20s"


def test_missing_in_the_service(history, ask):
    history.drop("books_payments", 3)
    said = ask(reconciliation, history.run())
    assert kinds(said) == [("missing_internal", "1a2b-3")]
    assert said.findings[0].message == (
        "missing_internal: client succeeded; service no payment; PSP 1 captured, 1,003 eur"
    )
    assert said.value("breaks_missing_internal") == 1


def test_missing_in_the_service_where_the_client_never_learnt(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.drop("books_payments", 3)
    assert kinds(ask(reconciliation, history.run())) == [("missing_internal", "1a2b-3")]


def test_missing_at_the_psp(history, ask):
    history.drop("psp_charges", 3)
    said = ask(reconciliation, history.run())
    assert kinds(said) == [("missing_psp", "1a2b-3")]
    assert said.findings[0].message == (
        "missing_psp: client succeeded; service succeeded 1,003 eur; PSP nothing captured"
    )


def test_an_authorization_that_the_psp_does_not_know(history, ask):
    for table, name in (("attempts", "answer"), ("books_payments", "state")):
        history.of(table, 3)[name] = "authorized"
    history.of("books_payments", 3)["captured_minor"] = 0
    history.drop("psp_charges", 3)
    assert kinds(ask(reconciliation, history.run())) == [("missing_psp", "1a2b-3")]


def test_a_payment_that_nobody_sent_is_a_phantom(history, ask):
    history.charge(99)
    history["books_payments"].append({**history.of("books_payments", 3), "intent": "1a2b-98"})
    assert kinds(ask(reconciliation, history.run())) == [
        ("phantom", "1a2b-98"),
        ("phantom", "1a2b-99"),
    ]


def test_a_reserved_number_without_its_row_is_unknown_not_phantom(history, ask):
    history["reserved"].append({"first": 90, "count": 10, "source": "load"})
    history.payment(99, 12)
    history["attempts"].pop()
    assert ask(reconciliation, history.run()).passes


def test_a_reserved_number_of_another_run_is_a_phantom(history, ask):
    history["reserved"].append({"first": 90, "count": 10, "source": "load"})
    history.charge(99, reference="9999-99")
    assert kinds(ask(reconciliation, history.run())) == [("phantom", "9999-99")]


def test_service_and_psp_must_agree_even_on_what_the_generator_lost(history, ask):
    history["reserved"].append({"first": 90, "count": 10, "source": "load"})
    history.charge(99)
    assert kinds(ask(reconciliation, history.run())) == [("missing_internal", "1a2b-99")]


def test_a_charge_without_a_reference_is_a_phantom(history, ask):
    history.of("psp_charges", 3)["reference"] = None
    assert kinds(ask(reconciliation, history.run())) == [
        ("missing_psp", "1a2b-3"),
        ("phantom", "charge ch-3"),
    ]


def test_a_booking_without_an_intent_is_a_phantom(history, ask):
    history.of("books_payments", 3)["intent"] = None
    assert kinds(ask(reconciliation, history.run())) == [
        ("missing_internal", "1a2b-3"),
        ("phantom", "payment pay-3"),
    ]


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("psp_charges", {"captured_minor": 900}),
        ("books_payments", {"captured_minor": 900}),
        ("books_payments", {"amount_minor": 900}),
    ],
)
def test_another_amount(history, ask, table, change):
    history.of(table, 3).update(change)
    assert kinds(ask(reconciliation, history.run())) == [("amount", "1a2b-3")]


@pytest.mark.parametrize("table", ["psp_charges", "books_payments"])
def test_another_currency(history, ask, table):
    history.of(table, 3)["currency"] = "usd"
    assert kinds(ask(reconciliation, history.run())) == [("currency", "1a2b-3")]


def test_another_amount_than_the_client_asked_for(history, ask):
    history.of("attempts", 3)["amount_minor"] = 5
    assert kinds(ask(reconciliation, history.run())) == [("amount", "1a2b-3")]


@pytest.mark.parametrize("state", ["declined", "failed", "canceled"])
def test_money_kept_for_a_payment_that_the_service_calls_over(history, ask, state):
    history.of("attempts", 3)["answer"] = state
    history.of("books_payments", 3).update(state=state, captured_minor=0)
    assert kinds(ask(reconciliation, history.run())) == [("status", "1a2b-3")]


def test_money_that_was_given_back_is_no_break(history, ask):
    history.of("attempts", 3)["answer"] = "failed"
    history.of("books_payments", 3).update(state="failed", captured_minor=0)
    history.of("psp_charges", 3)["refunded_minor"] = 1003
    assert ask(reconciliation, history.run()).passes


def test_the_client_was_told_otherwise(history, ask):
    history.of("attempts", 3)["answer"] = "declined"
    said = ask(reconciliation, history.run())
    assert kinds(said) == [("status", "1a2b-3")]
    assert said.findings[0].message.startswith("status: client declined; service succeeded")


def test_an_attempt_that_certainly_did_nothing_charged(history, ask):
    history.of("attempts", 3).update(outcome="fail", status=422, answer=None)
    assert kinds(ask(reconciliation, history.run())) == [("status", "1a2b-3")]


def test_an_authorization_captured_later_is_no_break(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="capture", kind="capture", outcome="unknown", answer=None)
    assert ask(reconciliation, history.run()).passes


def test_an_authorization_that_nobody_asked_to_capture(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="capture", kind="capture", outcome="fail", status=422)
    (finding,) = ask(reconciliation, history.run()).findings
    assert finding.message == (
        "status: client authorized; service succeeded 1,003 eur; PSP 1 captured, 1,003 eur"
    )


def test_a_capture_that_the_client_was_told_had_failed(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    capture = {"operation": "capture", "kind": "capture"}
    history.attempt(3, 30, outcome="unknown", status=None, answer=None, **capture)
    history.attempt(3, 31, status=402, answer="failed", attempt=2, **capture)
    assert kinds(ask(reconciliation, history.run())) == [("status", "1a2b-3")]


@pytest.mark.parametrize("state", ["authorized", "succeeded"])
def test_a_cancellation_that_was_acknowledged_and_forgotten(history, ask, state):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="cancel", kind="cancel")
    captured = 1003 if state == "succeeded" else 0
    history.of("books_payments", 3).update(state=state, captured_minor=captured)
    history.of("psp_charges", 3)["captured_minor"] = captured
    assert kinds(ask(reconciliation, history.run())) == [("status", "1a2b-3")]


def test_a_cancellation_in_the_books_agrees(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="cancel", kind="cancel")
    history.of("books_payments", 3).update(state="canceled", captured_minor=0)
    history.of("psp_charges", 3)["captured_minor"] = 0
    assert ask(reconciliation, history.run()).passes


def test_a_duplicate_that_was_kept(history, ask):
    history.charge(3)
    assert kinds(ask(reconciliation, history.run())) == [("duplicate", "1a2b-3")]


def test_a_duplicate_that_was_refunded_is_reconciled(history, ask):
    history.charge(3, refunded_minor=1003)
    assert ask(reconciliation, history.run()).passes


def test_a_duplicate_refunded_in_part_is_not(history, ask):
    history.charge(3, refunded_minor=1002)
    assert kinds(ask(reconciliation, history.run())) == [("duplicate", "1a2b-3")]


def test_both_captures_refunded_leaves_the_service_with_money_it_does_not_have(history, ask):
    history.charge(3, refunded_minor=1003)
    history.of("psp_charges", 3)["refunded_minor"] = 1003
    assert kinds(ask(reconciliation, history.run())) == [("amount", "1a2b-3")]


def test_booked_twice(history, ask):
    history["books_payments"].append({**history.of("books_payments", 3), "payment": "pay-3b"})
    assert kinds(ask(reconciliation, history.run())) == [("duplicate", "1a2b-3")]


def test_still_in_flight(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.of("books_payments", 3).update(state="processing", captured_minor=0)
    history.drop("psp_charges", 3)
    assert kinds(ask(reconciliation, history.run())) == [("stuck_unknown", "1a2b-3")]


def test_a_refund_still_in_flight(history, ask):
    history.refund(3, 100, 30)
    history["books_refunds"][0]["state"] = "processing"
    assert kinds(ask(reconciliation, history.run())) == [("stuck_unknown", "1a2b-3")]


def test_a_refund_that_only_the_psp_made(history, ask):
    history.of("psp_charges", 3)["refunded_minor"] = 100
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_a_refund_that_only_the_service_booked(history, ask):
    history.of("books_payments", 3)["refunded_minor"] = 100
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_a_refund_that_was_acknowledged_and_forgotten(history, ask):
    history.refund(3, 100, 30)
    for table in ("books_payments", "psp_charges"):
        history.of(table, 3)["refunded_minor"] = 0
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_a_refund_in_all_three_books_agrees(history, ask):
    history.refund(3, 100, 30)
    assert ask(reconciliation, history.run()).passes


def returned(history, n, minor):
    """The service refunds payment `n`, and books it, though nobody asked."""
    history.refund(n, minor, 30)
    history["attempts"].pop()


@pytest.mark.parametrize("minor", [1003, 1])
def test_a_refund_that_nobody_asked_for(history, ask, minor):
    returned(history, 3, minor)
    said = ask(reconciliation, history.run())
    assert kinds(said) == [("refund", "1a2b-3")]


def test_a_refund_that_was_refused_was_not_asked_for(history, ask):
    history.refund(3, 100, 30)
    history["attempts"][-1].update(outcome="fail", status=422, answer=None)
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_a_refund_that_the_client_was_told_had_failed(history, ask):
    history.refund(3, 600, 30)
    history["attempts"][-1].update(status=402, answer="failed")
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_a_refund_whose_answer_was_lost_was_asked_for(history, ask):
    history.refund(3, 100, 30)
    history["attempts"][-1].update(outcome="unknown", status=None, answer=None)
    assert ask(reconciliation, history.run()).passes


def test_more_refunded_than_asked_for(history, ask):
    history.refund(3, 100, 30)
    returned(history, 3, 50)
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_a_refund_that_named_no_amount_asked_for_all(history, ask):
    history.refund(3, 1003, 30)
    history["attempts"][-1]["amount_minor"] = None
    assert ask(reconciliation, history.run()).passes


def test_a_refund_only_in_the_list_of_the_psp(history, ask):
    returned(history, 3, 100)
    for table in ("books_payments", "psp_charges"):
        history.of(table, 3)["refunded_minor"] = 0
    assert kinds(ask(reconciliation, history.run())) == [("refund", "1a2b-3")]


def test_nothing_charged_and_nothing_booked_is_a_doubt(empty, ask):
    empty.attempt(1, 1, outcome="unknown", status=None, answer=None)
    said = ask(reconciliation, empty.run())
    assert [doubt.message for doubt in said.doubts] == [
        "neither the service nor the PSP has a payment: there is nothing to compare"
    ]


def test_declines_alone_are_something_to_compare(empty, ask):
    empty.declined(1, 1)
    assert ask(reconciliation, empty.run()).passes


def test_a_capture_of_less_agrees(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="capture", kind="capture", amount_minor=400)
    for table in ("books_payments", "psp_charges"):
        history.of(table, 3)["captured_minor"] = 400
    assert ask(reconciliation, history.run()).passes


def test_an_outcome_that_the_client_never_learnt_is_counted(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    said = ask(reconciliation, history.run())
    assert said.passes
    assert said.value("outcomes_never_learnt") == 1


def test_an_unknown_attempt_that_did_nothing_agrees(history, ask):
    history.attempt(50, 12, outcome="unknown", answer=None, status=None, payment=None)
    assert ask(reconciliation, history.run()).passes


def settle(history, at_s, detail):
    history.tables["events"] = [
        e for e in history["events"] if e["name"] != "settle" or e["kind"] != "step"
    ]
    if detail is not None:
        history.event(at_s, "step", "settle", "end", json.dumps(detail))


def test_settled_too_late(history, ask):
    settle(history, 62, {"settled": True})
    said = ask(reconciliation, history.run(), within=Duration(20))
    assert [f.message for f in said.findings] == [
        "settled only 21.000 s after the end of traffic, not in 20s"
    ]


def test_settled_at_the_last_moment(history, ask):
    settle(history, 61, {"settled": True})
    assert ask(reconciliation, history.run(), within=Duration(20)).passes


def test_never_settled(history, ask):
    settle(history, 71, {"settled": False, "pending": {"payments": 2, "psp.webhooks": 0}})
    said = ask(reconciliation, history.run(), within=Duration(20))
    assert [f.message for f in said.findings] == [
        "still not settled 30.000 s after the end of traffic: payments 2"
    ]
    assert said.value("settle_time") is None


def test_given_up_before_the_bound(history, ask):
    settle(history, 43, {"settled": False, "error": "GET /admin/in-flight: refused"})
    said = ask(reconciliation, history.run(), within=Duration(20))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "waited 2.000 s for the system to settle, in vain: GET /admin/in-flight: refused"
    ]


def test_no_word_of_settling(history, ask):
    settle(history, 0, None)
    assert ask(reconciliation, history.run(), within=Duration(20)).doubts
    assert ask(reconciliation, history.run()).passes  # nobody asked


def test_the_service_s_own_job_is_told_of(history, ask):
    for n, (type_, state) in enumerate([("duplicate", "resolved"), ("amount", "open")]):
        history["books_breaks"].append({"break": f"b{n}", "type": type_, "state": state})
    said = ask(reconciliation, history.run())
    assert said.value("service_job_found") == 2
    assert said.value("service_job_remedied") == 1
    assert said.value("service_job_found_amount") == 1


def test_a_job_that_failed_is_a_doubt(history, ask):
    history.event(42.7, "step", "reconcile", "failed", '{"error": "500"}')
    assert [d.message for d in ask(reconciliation, history.run()).doubts] == [
        "the service's own reconciliation job failed: 500"
    ]


def test_without_a_job_the_books_are_only_compared(history, ask):
    history.tables["events"] = [e for e in history["events"] if e["name"] != "reconcile"]
    said = ask(reconciliation, history.run())
    assert said.passes
    assert said.value("service_job_passes") == 0
    assert "service_job_found" not in said.measures


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(reconciliation, empty.run())
    assert not any(m.value for name, m in said.measures.items() if name.endswith("_judged"))


SPOILS = {
    "missing_internal": lambda h, n: h.drop("books_payments", n),
    "missing_psp": lambda h, n: h.drop("psp_charges", n),
    "amount": lambda h, n: h.of("psp_charges", n).update(captured_minor=1),
    "currency": lambda h, n: h.of("books_payments", n).update(currency="usd"),
    "duplicate": lambda h, n: h.charge(n),
    "refund": lambda h, n: h.of("psp_charges", n).update(refunded_minor=7),
    "status": lambda h, n: [a.update(answer="declined") for a in h.all_of("attempts", n)],
}


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    spoilt=st.dictionaries(
        st.sampled_from([n for n in range(20) if n % 7 != 6]), st.sampled_from(sorted(SPOILS))
    ),
)
def test_every_break_is_found_with_its_type_in_any_order(
    seed, spoilt, flawless_run, same_in_any_order, ask
):
    history = flawless_run()
    for n, type_ in spoilt.items():
        SPOILS[type_](history, n)
    said = ask(reconciliation, history.run())
    assert kinds(said) == [(type_, f"1a2b-{n}") for n, type_ in sorted(spoilt.items())]
    assert {
        name.removeprefix("breaks_"): m.value
        for name, m in said.measures.items()
        if name.startswith("breaks_")
    } == dict(Counter(spoilt.values()))
    same_in_any_order(reconciliation, history, seed)


def test_a_job_that_changes_something_again_is_a_finding(history, ask):
    history.event(42.7, "step", "reconcile", "end", '{"pass": 2, "remedied": 3}')
    assert ask(reconciliation, history.run()).findings[0].message == (
        "the service's own job, run again, changed 3 things once more"
    )


def test_a_job_that_changes_nothing_again_is_right(history, ask):
    history.event(42.7, "step", "reconcile", "end", '{"pass": 2, "remedied": 0}')
    assert ask(reconciliation, history.run()).passes

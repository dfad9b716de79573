from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.amplification import amplification
from payresil.core.values import Ratio


def paid(history, n, due_s, *, requests=1, sent=1):
    """A payment that its customer sent `sent` times and the PSP got `requests` times."""
    for attempt in range(1, sent + 1):
        history.attempt(n, due_s + attempt / 100, attempt=attempt)
    for k in range(requests):
        history.psp_attempt(n, due_s + k / 50)


def test_one_request_for_each_payment(empty, ask):
    for n in range(60):
        paid(empty, n, n / 10)
    said = ask(amplification, empty.run(), mean=Ratio(1.5), most=Ratio(3))
    assert said.passes
    mean = said.measures["psp_requests_per_operation"]
    assert (mean.value, mean.low, mean.high) == (1, 1, 1)
    assert mean.objective == "at most 1.5x"
    assert said.value("operations_judged") == said.value("requests_judged") == 60


def test_a_storm_in_one_phase_is_found_there_with_the_worst_of_it(empty, ask):
    for n in range(200):
        paid(empty, n, n / 20)
    for n in range(200, 240):
        paid(empty, n, 12, requests=6, sent=2)
    paid(empty, 240, 12, requests=9, sent=2)
    said = ask(amplification, empty.run(), mean=Ratio(3))
    (finding,) = said.findings
    assert finding.message.startswith(
        "faulted: 249 requests to the PSP for 41 things that customers wanted, 6.07x; the "
        "objective is 3x; customers themselves sent each 2.00 times; worst: 1a2b-240 (9), "
    )
    assert not said.doubts
    assert said.value("steady_psp_requests_per_operation") == 1


def test_each_payment_above_the_most_is_a_finding(empty, ask):
    for n in range(40):
        paid(empty, n, 1, requests=5 if n in (3, 8) else 1)
    said = ask(amplification, empty.run(), most=Ratio(4))
    assert said.about == ["1a2b-3", "1a2b-8"]
    assert said.findings[0].message == (
        "5 requests to the PSP for one thing that the customer wanted and sent 1 times; 4x is "
        "allowed"
    )


def test_each_refund_and_capture_is_a_thing_of_its_own(empty, ask):
    for n in range(40):
        paid(empty, n, 1)
        for operation, kind, endpoint in (
            ("refund.1", "refund", "refunds.create"),
            ("capture", "capture", "payment_intents.capture"),
        ):
            empty.attempt(n, 2, operation=operation, kind=kind)
            empty.psp_attempt(n, 2.01, endpoint=endpoint)
    said = ask(amplification, empty.run(), mean=Ratio(1), most=Ratio(1))
    assert said.passes
    assert said.value("operations_judged") == 120


def test_reads_are_counted_apart(empty, ask):
    for n in range(40):
        paid(empty, n, 1)
        empty.attempt(n, 2, attempt=2, kind="read")
        empty.attempt(n, 42, source="audit", kind="read")
        empty.psp_attempt(n, 2, endpoint="payment_intents.retrieve")
        empty.psp_attempt(n, 2, endpoint="payment_intents.list", reference=None)
    said = ask(amplification, empty.run(), mean=Ratio(1.1))
    assert said.passes
    assert said.value("psp_requests_of_any_kind") == 3
    assert said.value("customers_requests_per_operation") == 1


def test_what_customers_repeat_is_told_apart(empty, ask):
    for n in range(40):
        paid(empty, n, 1, requests=3, sent=3)
    said = ask(amplification, empty.run(), mean=Ratio(4))
    assert said.value("psp_requests_per_operation") == 3
    assert said.value("customers_requests_per_operation") == 3
    assert said.value("psp_requests_per_customers_request") == 1


def test_payments_that_never_got_there_do_not_dilute_the_mean(empty, ask):
    for n in range(40):
        paid(empty, n, 12, requests=5)
    for n in range(40, 400):
        empty.attempt(n, 12, outcome="unknown", status=503, answer=None)
    said = ask(amplification, empty.run(), mean=Ratio(3))
    assert said.value("psp_requests_per_operation") == 5
    assert len(said.findings) == 2  # overall, faulted


def test_a_mean_that_the_sample_cannot_decide_is_a_doubt(empty, ask):
    for n in range(40):
        paid(empty, n, 1, requests=6 if n < 8 else 1)
    said = ask(amplification, empty.run(), mean=Ratio(2.1))
    assert not said.findings
    assert "undecided by a 95 % interval" in said.doubts[0].message


def test_so_few_payments_have_no_mean(empty, ask):
    for n in range(5):
        paid(empty, n, 1)
    said = ask(amplification, empty.run(), mean=Ratio(2))
    assert not said.findings
    assert "it takes 30 to judge a mean" in said.doubts[0].message


def test_a_phase_with_too_few_to_judge_its_mean_is_a_doubt(empty, ask):
    for n in range(200):
        paid(empty, n, n / 20)
    for n in range(200, 229):
        paid(empty, n, 12, requests=3)
    said = ask(amplification, empty.run(), mean=Ratio(2))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "faulted: 87 requests to the PSP for 29 things that customers wanted, 3.00x; the objective "
        "is 2x; it takes 30 to judge a mean"
    ]


def test_a_phase_of_which_no_payment_reached_the_psp_is_a_doubt(empty, ask):
    for n in range(200):
        paid(empty, n, n / 20)
    for n in range(200, 260):
        paid(empty, n, 12, requests=0)
    said = ask(amplification, empty.run(), mean=Ratio(2))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "faulted: none of 60 payments that were due reached the PSP: there is no mean to judge"
    ]


def refused_refund(history, n, k):
    """A refund that the service refused, asked for after the payment."""
    refused = {"outcome": "fail", "status": 400, "answer": None}
    history.attempt(n, 9, kind="refund", operation=f"refund.{k}", **refused)


def test_refunds_that_never_got_to_the_psp_do_not_dilute_what_a_payment_took(empty, ask):
    for n in range(40):
        paid(empty, n, 1, requests=8)
        for k in range(1, 8):
            refused_refund(empty, n, k)
    said = ask(amplification, empty.run(), mean=Ratio(2), most=Ratio(2))
    assert said.value("psp_requests_per_operation") == 8
    assert said.value("customers_requests_per_operation") == 1
    assert len(said.findings) == 42  # overall, steady, each payment


def test_refunds_that_the_service_refused_do_not_dilute_the_one_that_it_made(empty, ask):
    for n in range(40):
        paid(empty, n, 1)
        empty.attempt(n, 8, kind="refund", operation="refund.1")
        for k in range(15):
            empty.psp_attempt(n, 8 + k / 50, endpoint="refunds.create")
        for k in range(2, 17):
            refused_refund(empty, n, k)
    said = ask(amplification, empty.run(), mean=Ratio(2))
    assert said.value("psp_requests_per_operation") == 8


def test_a_refund_that_the_psp_refused_is_a_thing_wanted(empty, ask):
    for n in range(40):
        paid(empty, n, 1)
        refused_refund(empty, n, 1)
        refused_refund(empty, n, 2)
        for _ in range(2):
            empty.psp_attempt(n, 9.01, endpoint="refunds.create", status=400)
    said = ask(amplification, empty.run(), mean=Ratio(1), most=Ratio(1))
    assert said.passes
    assert said.value("operations_judged") == 120


def test_requests_that_no_later_wish_explains_were_for_the_payment(empty, ask):
    for n in range(40):
        paid(empty, n, 1)
        empty.psp_attempt(n, 1.01, endpoint="payment_intents.capture")
        empty.attempt(n, 2, operation="capture", kind="capture", outcome="unknown", status=None)
        empty.psp_attempt(n, 2.01, endpoint="payment_intents.cancel")
    said = ask(amplification, empty.run(), mean=Ratio(3))
    assert said.value("psp_requests_per_operation") == 1.5


def test_requests_that_name_no_payment_may_be_what_is_missing(empty, ask):
    for n in range(40):
        paid(empty, n, 1)
    for n in range(50):
        empty.psp_attempt(n, 1, reference=None)
    assert ask(amplification, empty.run(), mean=Ratio(3)).passes
    said = ask(amplification, empty.run(), mean=Ratio(2))
    assert [d.message for d in said.doubts] == [
        "50 requests to the PSP that can move money name no payment on record: with them it could "
        "be more than 2x"
    ]


def test_nothing_asked_of_the_psp_and_no_objective_are_doubts(empty, ask):
    said = ask(amplification, empty.run())
    assert len(said.doubts) == 2
    assert {m.value for m in said.measures.values()} == {0}


@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(requests=st.lists(st.integers(1, 6), min_size=2, max_size=40), seed=st.integers(0, 99))
def test_the_mean_lies_in_its_interval_in_any_order(
    empty_run, ask, same_in_any_order, requests, seed
):
    history = empty_run()
    rng = random.Random(seed)
    for n, count in enumerate(requests):
        paid(history, n, rng.uniform(-2, 40), requests=count, sent=rng.randint(1, 3))
    said = ask(amplification, history.run(), mean=Ratio(2), most=Ratio(4))
    mean = said.measures["psp_requests_per_operation"]
    assert mean.value == pytest.approx(sum(requests) / len(requests))
    assert mean.low <= mean.value <= mean.high
    assert len([i for i in said.about if i]) == sum(count > 4 for count in requests)
    same_in_any_order(amplification, history, seed, mean=Ratio(2), most=Ratio(4))

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.idempotency import idempotency


def test_a_flawless_run_passes_and_says_what_it_judged(history, ask):
    said = ask(idempotency, history.run())
    assert said.passes
    assert said.value("intents_judged") == 20
    assert said.value("attempts_judged") == 24
    assert said.value("psp_charges_judged") == 20
    assert said.value("intents_tried_twice") == 4
    assert said.value("answers_lost") == 4


def test_two_captures_of_one_intent_are_found_whatever_their_keys(history, ask):
    history.charge(3, key="another key")
    said = ask(idempotency, history.run())
    assert said.about == ["1a2b-3"]
    assert said.findings[0].message == "captured 2 times at the PSP: 2,006 eur in all"


def test_a_duplicate_that_was_refunded_later_moved_money_twice_all_the_same(history, ask):
    history.charge(3, refunded_minor=1003)
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "captured 2 times at the PSP: 2,006 eur in all, 1,003 refunded later"


@pytest.mark.parametrize(
    "second",
    [
        {"status": "failed", "captured_minor": 0, "captured": False},
        {"captured_minor": 0, "captured": False},  # a hold moves no money
    ],
)
def test_a_second_charge_that_moved_no_money_is_none(history, ask, second):
    history.charge(3, **second)
    assert ask(idempotency, history.run()).passes


def test_captures_of_the_prober_count_too(history, ask):
    history.charge(8)
    assert ask(idempotency, history.run()).about == ["1a2b-8"]


def test_a_customer_told_two_different_final_answers(history, ask):
    history.attempt(3, 30, kind="read", key=None, answer="declined", attempt=2)
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.intent == "1a2b-3"
    assert finding.message == "payment pay-3 was answered as declined and as succeeded"


def test_the_audit_may_not_read_another_answer_than_the_customer_got(history, ask):
    history.attempt(3, 43, kind="read", key=None, answer="failed", source="audit", attempt=2)
    assert ask(idempotency, history.run()).about == ["1a2b-3"]


def test_an_authorized_payment_may_be_captured_or_canceled(history, ask):
    for n, later in ((3, "succeeded"), (4, "canceled")):
        history.of("attempts", n)["answer"] = "authorized"
        history.attempt(n, 30, kind="read", key=None, answer=later, attempt=2)
    assert ask(idempotency, history.run()).passes


def test_an_authorized_payment_may_not_be_declined_afterwards(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, kind="read", key=None, answer="declined", attempt=2)
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "payment pay-3 was answered as authorized and as declined"


def test_a_pending_answer_before_the_final_one_contradicts_nothing(history, ask):
    history.attempt(3, 1.4, outcome="unknown", status=202, answer="processing")
    assert ask(idempotency, history.run()).passes


def look(history, n, at_s, **more):
    """The customer of payment `n` looks it up again."""
    history.attempt(n, at_s, kind="read", key=None, attempt=2, **more)


@pytest.mark.parametrize(
    ("seen", "came"),
    [
        ({"outcome": "fail", "status": 404, "answer": None}, "found nothing"),
        ({"outcome": "unknown", "status": 200, "answer": None}, "found nothing"),
        ({"outcome": "unknown", "status": 200, "answer": "processing"}, "found it processing"),
        ({"payment": "another"}, "found payment another"),
        ({"payment": "Zanother"}, "found payment Zanother"),  # before pay-3, among texts
    ],
)
def test_a_look_after_the_answer_tells_the_same_story(history, ask, seen, came):
    look(history, 3, 30, **seen)
    said = ask(idempotency, history.run())
    assert [(f.intent, f.message) for f in said.findings] == [
        ("1a2b-3", f"payment pay-3 was answered as succeeded, and a later look {came}")
    ]
    assert said.value("looks_judged") == 1


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"outcome": "unknown", "status": 503, "answer": None},
        {"outcome": "unknown", "status": None, "answer": None, "error": "timeout"},
        {"outcome": "unknown", "status": 202, "answer": "succeeded"},
    ],
)
def test_a_look_that_saw_the_same_or_nothing_for_sure_contradicts_nothing(history, ask, seen):
    look(history, 3, 30, **seen)
    assert ask(idempotency, history.run()).passes


def test_a_look_sent_before_the_answer_may_see_anything(history, ask):
    look(history, 3, 1.519, outcome="fail", status=404, answer=None)
    look(history, 4, 2.01, outcome="unknown", status=200, answer="processing")
    said = ask(idempotency, history.run())
    assert said.passes
    assert said.value("looks_judged") == 0


def test_what_counts_as_pending_is_said_by_the_run(history, ask):
    look(history, 3, 30, outcome="unknown", status=200, answer="on its way")
    assert ask(idempotency, history.run()).passes
    history.meta["pending"] = ["on its way"]
    assert ask(idempotency, history.run()).about == ["1a2b-3"]


def test_the_audit_and_looks_at_refunds_are_judged_elsewhere(history, ask):
    look(history, 3, 43, source="audit", outcome="fail", status=404, answer=None)
    look(history, 4, 30, operation="refund.1", outcome="fail", status=404, answer=None)
    assert ask(idempotency, history.run()).value("looks_judged") == 0


def test_a_declined_payment_without_a_name_need_not_be_found(history, ask):
    history.of("attempts", 6)["payment"] = None
    look(history, 6, 30, outcome="fail", status=404, answer=None, payment=None)
    assert ask(idempotency, history.run()).passes


def test_one_key_gave_two_payments(history, ask):
    history.attempt(3, 2, attempt=2, payment="pay-other")
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "key key-3 (pay) gave payment pay-3 and payment pay-other"


def test_one_payment_answered_two_intents(history, ask):
    history.of("attempts", 4)["payment"] = "pay-3"
    messages = [finding.message for finding in ask(idempotency, history.run()).findings]
    assert messages == ["payment pay-3 was the answer to 1a2b-3 and to 1a2b-4"]


def test_one_key_accepted_for_two_amounts(history, ask):
    history.attempt(3, 2, attempt=2, amount_minor=5)
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "key key-3 (pay) was accepted for 5 eur and for 1003 eur"


def test_one_key_refused_for_another_amount_is_as_it_should_be(history, ask):
    history.attempt(
        3, 2, attempt=2, amount_minor=5, outcome="fail", status=422, answer=None, payment=None
    )
    assert ask(idempotency, history.run()).passes


def test_refunded_more_often_than_asked(history, ask):
    history.refund(3, 100, 30)
    history["psp_refunds"].append({**history["psp_refunds"][0], "refund": "re-again"})
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "refunded 2 times at the PSP, asked for 1"
    assert finding.intent == "1a2b-3"


def test_two_refunds_that_were_asked_for_are_two(history, ask):
    history.refund(3, 100, 30)
    history.refund(3, 200, 31, "refund.2")
    assert ask(idempotency, history.run()).passes


def test_a_break_that_the_service_itself_wrote_excuses_no_second_refund(history, ask):
    history.refund(3, 100, 30)
    history["psp_refunds"].append({**history["psp_refunds"][0], "refund": "re-remedy"})
    history["books_breaks"].append({"break": "b", "intent": "1a2b-3", "type": "duplicate"})
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "refunded 2 times at the PSP, asked for 1"


def held(history, n, **more):
    """Another charge of payment `n` that was authorized and not captured."""
    history.charge(n, captured_minor=0, captured=False, **more)


def authorized(history, n):
    """Payment `n` is held once, and captured nowhere."""
    history.of("attempts", n)["answer"] = "authorized"
    history.of("books_payments", n).update(state="authorized", captured_minor=0)
    history.of("psp_charges", n).update(captured_minor=0, captured=False)


def test_one_hold_is_right(history, ask):
    authorized(history, 3)
    assert ask(idempotency, history.run()).passes


def test_two_holds_and_no_capture(history, ask):
    authorized(history, 3)
    held(history, 3, payment_intent="pi-other")
    (finding,) = ask(idempotency, history.run()).findings
    assert (finding.intent, finding.message) == (
        "1a2b-3",
        "held 2 times at the PSP: 2,006 eur in all",
    )


def test_a_second_hold_that_was_released_holds_nothing(history, ask):
    authorized(history, 3)
    held(history, 3, payment_intent="pi-other")
    history.psp_attempt(
        3, 20, endpoint="payment_intents.cancel", payment_intent="pi-other", answered_ns=None
    )
    assert ask(idempotency, history.run()).passes
    authorized(history, 4)
    held(history, 4, refunded_minor=1004)
    assert ask(idempotency, history.run()).passes


def test_nothing_charged_is_a_doubt(empty, ask):
    for attempt in (1, 2):
        empty.attempt(1, attempt, attempt=attempt, outcome="unknown", status=None, answer=None)
    said = ask(idempotency, empty.run())
    assert [doubt.message for doubt in said.doubts] == [
        "the PSP made no charge, so nothing could have been charged twice"
    ]


def test_nothing_tried_twice_is_a_doubt(empty, ask):
    empty.payment(1, 1)
    said = ask(idempotency, empty.run())
    assert [doubt.message for doubt in said.doubts] == [
        "nothing was ever tried twice, so nothing was put to the test"
    ]
    assert not said.findings


def test_a_try_that_only_the_psp_saw_counts_as_tried_twice(empty, ask):
    empty.payment(1, 1)
    empty.psp_attempt(1, 1.2)
    assert ask(idempotency, empty.run()).value("intents_tried_twice") == 1


def test_asking_the_psp_is_not_trying_twice(empty, ask):
    empty.payment(1, 1)
    for at_s in (2, 3):
        empty.psp_attempt(1, at_s, endpoint="payment_intents.retrieve")
    assert ask(idempotency, empty.run()).value("intents_tried_twice") == 0


def operation(history, kind, *answers):
    """Answers to one operation of payment 3, each sent as the one before was answered."""
    for n, answer in enumerate(answers):
        history.attempt(
            3, 30 + n, 1000, kind=kind, operation=kind, key=f"key-3-{kind}", attempt=n + 1,
            answer=answer, amount_minor=5,
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["capture", "cancel", "refund"])
def test_an_operation_that_failed_may_not_succeed_when_it_is_asked_for_again(history, ask, kind):
    operation(history, kind, "failed", "succeeded")
    (finding,) = ask(idempotency, history.run()).findings
    assert (finding.intent, finding.message) == (
        "1a2b-3",
        f"{kind} was answered as failed and as succeeded",
    )


def test_only_a_refund_may_fail_later(history, ask):
    operation(history, "refund", "succeeded", "succeeded", "failed")
    assert ask(idempotency, history.run()).passes
    operation(history, "capture", "succeeded", "failed")
    (finding,) = ask(idempotency, history.run()).findings
    assert finding.message == "capture was answered as failed and as succeeded"


def test_a_refund_that_failed_while_it_was_asked_for_twice(history, ask):
    operation(history, "refund", "succeeded", "failed")
    history["attempts"][-2]["done_ns"] = history["attempts"][-1]["done_ns"] + 1
    assert ask(idempotency, history.run()).passes


def test_a_refund_tried_twice_was_tried_twice(empty, ask):
    empty.payment(1, 1)
    empty.refund(1, 5, 2)
    empty.attempt(1, 3, kind="refund", operation="refund.1", key="key-1-refund.1", amount_minor=5)
    assert ask(idempotency, empty.run()).value("intents_tried_twice") == 1


def test_captures_that_name_no_intent_are_a_doubt(history, ask):
    history.charge(3, reference=None)
    said = ask(idempotency, history.run())
    assert len(said.doubts) == 1
    assert "1 captures at the PSP name no intent" in said.doubts[0].message


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(idempotency, empty.run())
    assert said.value("intents_judged") == said.value("attempts_judged") == 0
    assert said.doubts


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), spoilt=st.sets(st.integers(0, 19), max_size=5))
def test_the_order_of_rows_changes_nothing(seed, spoilt, flawless_run, same_in_any_order):
    history = flawless_run()
    for n in spoilt:
        history.charge(n, at_s=n)
        history.attempt(n, 20, attempt=3, payment=f"pay-{n}-b", amount_minor=7)
    same_in_any_order(idempotency, history, seed)


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(captures=st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_every_intent_captured_more_than_once_is_found_and_no_other(captures, empty_run, ask):
    history = empty_run()
    for n, times in enumerate(captures):
        history.payment(n, n / 10)
        for _ in range(times - 1):
            history.charge(n)
    expected = [f"1a2b-{n}" for n, times in enumerate(captures) if times > 1]
    assert ask(idempotency, history.run()).about == expected

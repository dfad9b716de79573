from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.durability import durability
from payresil.core.values import Duration


def test_a_flawless_run_passes_and_counts_the_prober_too(history, ask):
    said = ask(durability, history.run())
    assert said.passes
    assert said.value("acknowledged_judged") == 18  # 20 less two declines
    assert said.value("payments_judged") == said.value("psp_charges_judged") == 18
    assert said.value("data_loss") == 0
    assert "data_loss_oldest_at" not in said.measures


def test_a_payment_absent_from_the_books_is_lost(history, ask):
    history.drop("books_payments", 3)
    history.drop("books_payments", 8)  # a probe
    said = ask(durability, history.run())
    assert said.about == ["1a2b-3", "1a2b-8"]
    assert said.findings[0].message == "acknowledged 1003 eur, absent from the books of the service"
    assert said.value("data_loss") == 2
    assert said.value("data_loss_eur") == 1003 + 1008
    assert said.value("data_loss_oldest_at") == pytest.approx(1.52)


@pytest.mark.parametrize("state", ["processing", "declined", "failed", "canceled", "authorized"])
def test_a_payment_booked_in_another_state_is_lost(history, ask, state):
    history.of("books_payments", 3)["state"] = state
    said = ask(durability, history.run())
    assert [f.message for f in said.findings] == [
        f"acknowledged 1003 eur, {state} in the books of the service"
    ]
    assert said.value("data_loss") == 1


def test_another_amount_in_the_books(history, ask):
    history.of("books_payments", 3)["captured_minor"] = 900
    said = ask(durability, history.run())
    assert [f.message for f in said.findings] == [
        "acknowledged 1003 eur, in the books of the service as 900"
    ]
    assert said.value("data_loss") == 0


@pytest.mark.parametrize("table", ["books_payments", "psp_charges"])
@pytest.mark.parametrize("column", ["captured_minor", "currency"])
def test_an_amount_or_currency_that_is_not_recorded_is_not_right(history, ask, table, column):
    history.of(table, 3)[column] = None
    assert ask(durability, history.run()).about == ["1a2b-3"]


def test_another_currency_in_the_books(history, ask):
    history.of("books_payments", 3)["currency"] = "usd"
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == "acknowledged 1003 eur, in the books of the service in usd"


def test_absent_at_the_psp(history, ask):
    history.drop("psp_charges", 3)
    said = ask(durability, history.run())
    assert [f.message for f in said.findings] == ["acknowledged 1003 eur, not captured at the PSP"]
    assert said.value("data_loss") == 0  # the service still has it


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"captured_minor": 1}, "captured at the PSP as 1"),
        ({"currency": "usd"}, "captured at the PSP in usd"),
        ({"status": "failed"}, "not captured at the PSP"),
    ],
)
def test_wrong_at_the_psp(history, ask, wrong, said):
    history.of("psp_charges", 3).update(wrong)
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == f"acknowledged 1003 eur, {said}"


def test_absent_everywhere_is_one_finding(history, ask):
    history.drop("books_payments", 3)
    history.drop("psp_charges", 3)
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == (
        "acknowledged 1003 eur, absent from the books of the service and not captured at the PSP"
    )


def test_a_duplicate_beside_it_loses_nothing(history, ask):
    history.charge(3)
    history["books_payments"].append({**history.of("books_payments", 3), "payment": "pay-3b"})
    assert ask(durability, history.run()).passes


def test_what_was_refunded_later_is_not_lost(history, ask):
    history.refund(3, 1003, 30)
    assert ask(durability, history.run()).passes


def test_what_was_given_back_unasked_is_not_there(history, ask):
    history.refund(3, 1003, 30)
    history["attempts"].pop()
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == "acknowledged 1003 eur, refunded at the PSP: 1003, asked for 0"


def test_a_capture_of_less_was_asked_for(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="capture", kind="capture", amount_minor=400)
    history.attempt(3, 31, kind="read", attempt=2)
    for table in ("books_payments", "psp_charges"):
        history.of(table, 3)["captured_minor"] = 400
    assert ask(durability, history.run()).passes


def test_an_acknowledged_capture_that_is_absent(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="capture", kind="capture", amount_minor=400)
    history.of("books_payments", 3).update(state="authorized", captured_minor=0)
    history.of("psp_charges", 3)["captured_minor"] = 0
    said = ask(durability, history.run())
    assert [finding.message for finding in said.findings] == [
        "acknowledged 400 eur, authorized in the books of the service and not captured at the PSP"
    ]
    assert said.value("data_loss_eur") == 400


def test_a_capture_that_was_said_to_have_failed_took_money(history, ask):
    history.of("attempts", 3)["answer"] = "authorized"
    history.attempt(3, 30, operation="capture", kind="capture", status=402, answer="failed")
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == "told capture failed, captured 1,003 eur at the PSP"


def test_what_was_not_acknowledged_is_not_claimed(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.drop("books_payments", 3)
    assert ask(durability, history.run()).passes


def test_a_read_by_the_audit_acknowledges_nothing_to_a_customer(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.attempt(3, 43, kind="read", source="audit", attempt=2)
    assert ask(durability, history.run()).value("acknowledged_judged") == 17


def test_a_payment_that_was_lost_and_found_again_is_lost(history, ask):
    booked = history.of("books_payments", 3)
    booked["created_us"] += 30_000_000
    said = ask(durability, history.run())
    assert [f.message for f in said.findings] == [
        "acknowledged 1003 eur, in the books of the service only 29.985 s later: lost, and found "
        "again"
    ]
    assert said.about == ["1a2b-3"]
    assert said.value("data_loss") == 1
    assert said.value("data_loss_eur") == 1003
    assert said.value("booking_times_judged") == 18


@pytest.mark.parametrize(
    "updated", [lambda h: h.all_of("books_transitions", 3)[-1]["at_us"], lambda h: None]
)
def test_a_payment_whose_success_was_lost_and_found_again_is_lost(history, ask, updated):
    history.all_of("books_transitions", 3)[-1]["at_us"] += 30_000_000
    history.of("books_payments", 3)["updated_us"] = updated(history)
    said = ask(durability, history.run())
    assert [f.message for f in said.findings] == [
        "acknowledged 1003 eur, succeeded in the books of the service only 29.995 s later: lost, "
        "and found again"
    ]
    assert said.value("data_loss") == 1


def test_what_succeeded_again_later_was_not_lost(history, ask):
    again = history.transition(3, 30, "succeeded", from_state="succeeded")
    history.of("books_payments", 3)["updated_us"] = again["at_us"]
    assert ask(durability, history.run()).passes


@pytest.mark.parametrize(("late_us", "found"), [(49_000, 0), (51_000, 1)])
def test_clocks_may_differ_a_little(history, ask, late_us, found):
    ns = history.of("attempts", 3)["done_ns"]
    zero_us = history.meta["zero_wall_us"]
    history.of("books_payments", 3)["created_us"] = zero_us + ns // 1000 + late_us
    history.all_of("books_transitions", 3)[-1]["at_us"] = zero_us + ns // 1000 + late_us
    assert len(ask(durability, history.run()).findings) == found
    assert ask(durability, history.run(), clock_skew=Duration(0.1)).passes


def test_books_that_do_not_say_when_say_nothing_of_it(history, ask):
    for row in history["books_payments"]:
        row["created_us"] = None
    history.tables["books_transitions"] = []
    said = ask(durability, history.run())
    assert said.passes
    assert said.value("booking_times_judged") == 0


@pytest.mark.parametrize("told", ["declined", "failed", "canceled"])
def test_money_taken_from_a_customer_who_was_told_otherwise(history, ask, told):
    history.of("attempts", 3)["answer"] = told
    said = ask(durability, history.run())
    assert [(f.intent, f.message) for f in said.findings] == [
        ("1a2b-3", f"told {told}, captured 1,003 eur at the PSP")
    ]
    assert said.value("data_loss") == 0
    assert said.value("refusals_judged") == 3  # with two declines


def test_giving_it_back_later_does_not_make_it_true(history, ask):
    history.of("attempts", 3)["answer"] = "failed"
    history.of("books_payments", 3).update(state="failed", captured_minor=0)
    history.of("psp_charges", 3)["refunded_minor"] = 1003
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == "told failed, captured 1,003 eur at the PSP, 1,003 refunded later"


def test_attempts_that_were_all_refused_paid_nothing(history, ask):
    history.of("attempts", 3).update(outcome="fail", status=422, answer=None)
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == "told nothing happened, captured 1,003 eur at the PSP"


def test_the_last_answer_counts(history, ask):
    history.of("attempts", 3).update(answer="declined")
    history.attempt(3, 12, attempt=2)
    assert ask(durability, history.run()).passes


def test_an_unknown_outcome_promises_nothing(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    assert ask(durability, history.run()).passes


def test_what_only_the_audit_was_told_no_customer_was(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.attempt(3, 5, attempt=2, outcome="fail", status=429, answer=None)
    history.attempt(3, 43, kind="read", source="audit", attempt=3, answer="failed")
    assert ask(durability, history.run()).passes


def authorize(history, n):
    """Payment `n` is authorized and no more, in all books."""
    history.of("attempts", n)["answer"] = "authorized"
    history.of("books_payments", n).update(state="authorized", captured_minor=0)
    history.of("psp_charges", n).update(captured_minor=0, captured=False)


def cancel(history, n, at_s=30, **more):
    """Its customer cancels it."""
    history.attempt(n, at_s, operation="cancel", kind="cancel", **more)


@pytest.mark.parametrize("answer", ["succeeded", "canceled"])
def test_what_was_cancelled_was_not_paid(history, ask, answer):
    authorize(history, 3)
    cancel(history, 3, answer=answer)
    assert ask(durability, history.run()).passes
    assert ask(durability, history.run()).value("refusals_judged") == 3
    history.of("psp_charges", 3)["captured_minor"] = 1003
    (finding,) = ask(durability, history.run()).findings
    assert finding.message == "told canceled, captured 1,003 eur at the PSP"


@pytest.mark.parametrize(("outcome", "found"), [("unknown", 0), ("fail", 1)])
def test_a_cancellation_may_undo_a_capture_that_was_asked_for(history, ask, outcome, found):
    authorize(history, 3)
    history.attempt(
        3, 29, operation="capture", kind="capture", outcome=outcome, answer=None, status=None
    )
    cancel(history, 3)
    history.of("psp_charges", 3).update(captured_minor=1003, refunded_minor=1003)
    assert len(ask(durability, history.run()).findings) == found


def test_a_cancellation_of_what_was_paid_gives_it_back(history, ask):
    cancel(history, 3)
    history.attempt(3, 31, kind="read", attempt=2, answer="canceled")
    history.refund(3, 1003, 31)
    assert ask(durability, history.run()).passes


def test_a_refused_cancellation_promises_nothing(history, ask):
    cancel(history, 3, outcome="fail", status=422, answer=None)
    assert ask(durability, history.run()).passes


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(durability, empty.run())
    assert {said.value(name) for name in said.measures} == {0}


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), lost=st.sets(st.integers(0, 19)))
def test_every_lost_payment_is_found_in_any_order(seed, lost, flawless_run, same_in_any_order, ask):
    history = flawless_run()
    for n in lost:
        history.drop("books_payments", n)
    acknowledged = {n for n in lost if n % 7 != 6}
    said = ask(durability, history.run())
    assert said.about == [f"1a2b-{n}" for n in sorted(acknowledged)]
    assert said.value("data_loss") == len(acknowledged)
    same_in_any_order(durability, history, seed)


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    spoilt=st.dictionaries(st.integers(0, 19), st.sampled_from(["lost", "late", "told", "none"])),
)
def test_every_broken_promise_is_found_in_any_order(
    seed, spoilt, flawless_run, same_in_any_order, ask
):
    history = flawless_run()
    spoilt = {n: how for n, how in spoilt.items() if n % 7 != 6 and how != "none"}
    for n, how in spoilt.items():
        if how == "lost":
            history.drop("books_payments", n)
        elif how == "late":
            history.of("books_payments", n)["created_us"] += 60_000_000
        else:
            history.all_of("attempts", n)[-1]["answer"] = "failed"
    said = ask(durability, history.run())
    assert sorted(said.about) == sorted(f"1a2b-{n}" for n in spoilt)
    assert said.value("data_loss") == sum(how != "told" for how in spoilt.values())
    same_in_any_order(durability, history, seed)

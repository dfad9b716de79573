from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.durability import durability


def test_a_flawless_run_passes_and_counts_the_prober_too(history, ask):
    said = ask(durability, history.run())
    assert said.passes
    assert said.value("acknowledged_judged") == 18  # 20 less two declines
    assert said.value("payments_judged") == said.value("psp_charges_judged") == 18
    assert said.value("data_loss") == 0
    assert "data_loss_oldest" not in said.measures


def test_a_payment_absent_from_the_books_is_lost(history, ask):
    history.drop("books_payments", 3)
    history.drop("books_payments", 8)  # a probe
    said = ask(durability, history.run())
    assert said.about == ["1a2b-3", "1a2b-8"]
    assert said.findings[0].message == "acknowledged 1003 eur, absent from the books of the service"
    assert said.value("data_loss") == 2
    assert said.value("data_loss_eur") == 1003 + 1008
    assert said.value("data_loss_oldest") == pytest.approx(1.52)


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


def test_what_was_not_acknowledged_is_not_claimed(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.drop("books_payments", 3)
    assert ask(durability, history.run()).passes


def test_a_read_by_the_audit_acknowledges_nothing_to_a_customer(history, ask):
    history.of("attempts", 3).update(outcome="unknown", answer=None)
    history.attempt(3, 43, kind="read", source="audit", attempt=2)
    assert ask(durability, history.run()).value("acknowledged_judged") == 17


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

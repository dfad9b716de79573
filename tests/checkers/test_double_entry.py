from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.double_entry import double_entry


def messages(said):
    return [finding.message for finding in said.findings]


def test_a_flawless_ledger_balances(history, ask):
    said = ask(double_entry, history.run())
    assert said.passes
    assert said.value("journals_judged") == said.value("captured_payments_judged") == 18
    assert said.value("entries_judged") == 36
    assert said.value("balances_judged") == 2


def test_a_journal_that_is_off(history, ask):
    history.of("books_entries", 3)["amount_minor"] += 1
    history.balance()
    said = ask(double_entry, history.run())
    assert "journal capture:pay-3 is off by 1 eur" in messages(said)
    assert set(said.about) == {"1a2b-3"}


def test_a_journal_with_one_leg(history, ask):
    history["books_entries"].remove(history.of("books_entries", 3))
    history.balance()
    said = ask(double_entry, history.run())
    assert "journal capture:pay-3 is off by -1,003 eur" in messages(said)


def test_a_single_leg_of_nothing_is_no_double_entry(history, ask):
    history["books_entries"].append(
        {
            "entry": "x",
            "journal": "j",
            "journal_kind": "other",
            "account": "psp_receivable",
            "amount_minor": 0,
            "currency": "eur",
        }
    )
    assert messages(ask(double_entry, history.run())) == ["journal j has 1 leg in eur"]


def test_zero_in_sum_but_not_in_each_currency(history, ask):
    first, second = history.all_of("books_entries", 3)
    second["currency"] = "usd"
    history.balance()
    said = ask(double_entry, history.run())
    assert messages(said)[:2] == [
        "journal capture:pay-3 is off by 1,003 eur",
        "journal capture:pay-3 is off by -1,003 usd",
    ]
    assert first["currency"] == "eur"


def test_a_balance_that_its_entries_do_not_give(history, ask):
    kept = history["books_balances"][0]
    kept["balance_minor"] += 5
    (message,) = messages(ask(double_entry, history.run()))
    assert message == (
        f"account {kept['account']} is kept as {kept['balance_minor']:,} eur, "
        f"its entries sum to {kept['balance_minor'] - 5:,} eur"
    )


def test_an_account_without_a_balance_and_a_balance_without_entries(history, ask):
    lost = history["books_balances"].pop(0)
    history["books_balances"].append({"account": "z", "currency": "eur", "balance_minor": 1})
    said = messages(ask(double_entry, history.run()))
    assert any(lost["account"] in message and "kept as nothing" in message for message in said)
    assert "account z is kept as 1 eur, its entries sum to nothing" in said


def test_a_balance_kept_in_stripes_is_added_up(history, ask):
    kept = history["books_balances"][0]
    kept["balance_minor"] -= 100
    history["books_balances"].append({**kept, "balance_minor": 100})
    assert ask(double_entry, history.run()).passes


def test_a_captured_payment_that_was_never_posted(history, ask):
    history.drop("books_entries", 3)
    history.balance()
    (finding,) = ask(double_entry, history.run()).findings
    assert finding.intent == "1a2b-3"
    assert finding.message == (
        "payment pay-3: captured 1,003 eur less 0 refunded; the ledger has 0 less 0"
    )


def test_a_capture_posted_twice(history, ask):
    history.journal(3, "capture", 1003, "capture:again")
    history.balance()
    (finding,) = ask(double_entry, history.run()).findings
    assert finding.message.endswith("the ledger has 2,006 less 0")


def test_a_capture_posted_in_two_parts_is_right(history, ask):
    history.drop("books_entries", 3)
    history.journal(3, "capture", 1000, "capture:part-1")
    history.journal(3, "capture", 3, "capture:part-2")
    history.balance()
    assert ask(double_entry, history.run()).passes


def test_posted_in_another_currency(history, ask):
    for row in history.all_of("books_entries", 3):
        row["currency"] = "usd"
    history.balance()
    assert len(ask(double_entry, history.run()).findings) == 2  # too little eur, too much usd


def test_a_declined_payment_must_not_be_posted(history, ask):
    history.journal(6, "capture", 1006)
    history.balance()
    assert ask(double_entry, history.run()).about == ["1a2b-6"]


def test_a_journal_of_a_payment_that_does_not_exist(history, ask):
    history.journal(77, "capture", 10)
    history.balance()
    assert ask(double_entry, history.run()).about == ["1a2b-77"]


def test_a_journal_that_names_no_payment(history, ask):
    history.journal(77, "capture", 10)
    for row in history.all_of("books_entries", 77):
        row["payment"] = None
    history.balance()
    assert ask(double_entry, history.run()).about == ["1a2b-77"]


def test_other_journals_need_no_payment(history, ask):
    for account, minor in (("bank", 50), ("psp_receivable", -50)):
        history["books_entries"].append(
            {
                "entry": account,
                "journal": "payout:1",
                "journal_kind": "payout",
                "account": account,
                "amount_minor": minor,
                "currency": "eur",
            }
        )
    history.balance()
    assert ask(double_entry, history.run()).passes


def test_refunds_are_posted(history, ask):
    history.refund(3, 100, 30)
    history.refund(3, 50, 31, "refund.2")
    history.balance()
    assert ask(double_entry, history.run()).passes


@pytest.mark.parametrize("booked", [0, 50, 200])
def test_a_refund_posted_with_another_amount(history, ask, booked):
    history.refund(3, 100, 30)
    history.balance()
    history.of("books_payments", 3)["refunded_minor"] = booked
    assert ask(double_entry, history.run()).about == ["1a2b-3"]


def reverse_refund(history, n, minor):
    for account, amount in (("psp_receivable", minor), ("merchant_payable", -minor)):
        history["books_entries"].append(
            {
                "entry": f"reversal:{n}:{account}",
                "journal": f"reversal:{n}",
                "journal_kind": "reversal",
                "account": account,
                "amount_minor": amount,
                "currency": "eur",
                "payment": f"pay-{n}",
                "intent": f"1a2b-{n}",
            }
        )
    history.balance()


def test_a_refund_that_the_bank_sent_back_is_reversed(history, ask):
    history.refund(3, 100, 30)
    history.of("books_payments", 3)["refunded_minor"] = 0
    reverse_refund(history, 3, 100)
    assert ask(double_entry, history.run()).passes


def test_a_capture_that_is_reversed(history, ask):
    history.of("books_payments", 3)["captured_minor"] = 0
    history.journal(3, "reversal", 1003)
    history.balance()
    assert ask(double_entry, history.run()).passes


def test_a_reversal_of_another_amount(history, ask):
    history.refund(3, 100, 30)
    history.of("books_payments", 3)["refunded_minor"] = 0
    reverse_refund(history, 3, 90)
    (finding,) = ask(double_entry, history.run()).findings
    assert finding.message == (
        "payment pay-3: captured 1,003 eur less 0 refunded; the ledger has 993 net of reversals"
    )


def test_an_empty_ledger_judged_nothing(empty, ask):
    assert {m.value for m in ask(double_entry, empty.run()).measures.values()} == {0}


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    changes=st.dictionaries(
        st.sampled_from([n for n in range(20) if n % 7 != 6]), st.integers(1, 900)
    ),
)
def test_every_wrong_journal_is_found_in_any_order(
    seed, changes, flawless_run, same_in_any_order, ask
):
    history = flawless_run()
    for n, minor in changes.items():
        random.Random(seed).choice(history.all_of("books_entries", n))["amount_minor"] += minor
    history.balance()
    said = ask(double_entry, history.run())
    assert set(said.about) == {f"1a2b-{n}" for n in changes}
    same_in_any_order(double_entry, history, seed)

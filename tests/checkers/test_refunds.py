from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.refunds import refunds


@pytest.fixture
def refunded(history):
    """Payments 3 and 4 were refunded, one in part and one in two parts."""
    history.refund(3, 100, 30)
    history.refund(4, 400, 30)
    history.refund(4, 604, 31, "refund.2")
    return history


def refuse(history, n, minor, at_s, operation, **answer):
    """A refund that is asked for and refused."""
    history.attempt(
        n,
        at_s,
        kind="refund",
        operation=operation,
        key=f"key-{n}-{operation}",
        amount_minor=minor,
        **({"outcome": "fail", "status": 422, "answer": None} | answer),
    )


def unask(history, n):
    """Nobody asked for a refund of payment `n`."""
    history.tables["attempts"] = [
        row for row in history["attempts"] if (row["n"], row["kind"]) != (n, "refund")
    ]


def messages(said):
    return [(f.intent, f.message) for f in said.findings]


def test_refunds_that_agree_pass(refunded, ask):
    said = ask(refunds, refunded.run())
    assert said.passes
    assert said.value("refunds_asked_judged") == said.value("refunds_acknowledged") == 3
    assert said.value("booked_refunds_judged") == said.value("psp_refunds_judged") == 3
    assert said.value("asked_beyond_captured") == said.value("refused_over_captured") == 0


def test_no_refund_puts_nothing_to_the_test(history, ask):
    said = ask(refunds, history.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "no customer's refund was made, so nothing was put to the test"
    ]


def test_refunds_that_the_service_made_on_its_own_put_nothing_to_the_test(history, ask):
    history.refund(3, 1003, 30)
    unask(history, 3)
    history.drop("books_refunds", 3)
    history.of("books_payments", 3).update(state="failed", captured_minor=0, refunded_minor=0)
    said = ask(refunds, history.run())
    assert not said.findings
    assert len(said.doubts) == 1


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(refunds, empty.run())
    assert {measure.value for measure in said.measures.values()} == {0}
    assert len(said.doubts) == 1


@pytest.mark.parametrize(
    "answer",
    [{}, {"outcome": "ok", "status": 200, "answer": "failed"}],
    ids=["refused at once", "refused by the PSP"],
)
def test_what_was_asked_beyond_what_was_captured(refunded, ask, answer):
    refuse(refunded, 3, 904, 30, "refund.2", **answer)
    refuse(refunded, 5, 10, 30, "refund.1")  # for another reason
    said = ask(refunds, refunded.run())
    assert said.passes
    assert said.value("asked_beyond_captured") == 1
    assert said.value("refused_over_captured") == 1
    assert said.value("refunds_asked_judged") == 5


def test_a_refund_that_never_got_through_was_not_refused(refunded, ask):
    refuse(refunded, 3, 904, 30, "refund.2", status=None, error="refused")
    said = ask(refunds, refunded.run())
    assert said.value("asked_beyond_captured") == 1
    assert said.value("refused_over_captured") == 0


def test_more_given_back_than_captured(refunded, ask):
    refunded.refund(4, 200, 32, "refund.3")
    said = ask(refunds, refunded.run())
    assert messages(said) == [
        ("1a2b-4", "charge ch-4: 1,204 eur refunded at the PSP, 1,004 captured"),
        ("1a2b-4", "payment pay-4: 1,204 eur refunded in the books, 1,004 captured"),
    ]


def test_more_given_back_than_the_charge_says(refunded, ask):
    refunded["psp_refunds"][0]["amount_minor"] = 1004
    said = ask(refunds, refunded.run())
    assert ("1a2b-3", "charge ch-3: 1,004 eur refunded at the PSP, 1,003 captured") in messages(
        said
    )


def test_a_refund_that_failed_gave_nothing_back(refunded, ask):
    refunded["psp_refunds"].append(
        {**refunded.of("psp_refunds", 3), "refund": "re-x", "amount_minor": 2000}
        | {"status": "failed"}
    )
    assert ask(refunds, refunded.run()).passes


def test_what_a_payment_says_was_refunded_is_the_sum_of_its_refunds(refunded, ask):
    refunded.of("books_payments", 3)["refunded_minor"] = 150
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "payment pay-3: 150 eur refunded in the books, its refunds come to 100")
    ]


def test_a_refund_of_a_payment_that_is_gone(refunded, ask):
    refunded.drop("books_payments", 3)
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "payment pay-3: 0 ? refunded in the books, its refunds come to 100")
    ]


@pytest.mark.parametrize(
    ("table", "change", "wrong"),
    [
        ("psp_refunds", {"status": "failed"}, "succeeded in the books, failed at the PSP"),
        ("psp_refunds", {"status": "pending"}, "succeeded in the books, pending at the PSP"),
        ("psp_refunds", {"currency": "usd"}, "100 eur in the books"),
        ("psp_refunds", {"amount_minor": 99}, "100 eur in the books"),
        ("books_refunds", {"state": "failed"}, "failed in the books, succeeded at the PSP"),
        ("books_refunds", {"amount_minor": 99}, "99 eur in the books"),
        ("books_refunds", {"currency": None}, "100 ? in the books"),
    ],
)
def test_a_refund_that_is_not_the_same_in_both(refunded, ask, table, change, wrong):
    row = refunded.of(table, 3)
    row.update(change)
    minor, currency = (row["amount_minor"], row["currency"]) if "psp" in table else (100, "eur")
    said = messages(ask(refunds, refunded.run()))
    assert ("1a2b-3", f"refund re-3-refund.1 of {minor} {currency}: {wrong}") in said


def test_a_refund_that_only_the_service_has(refunded, ask):
    refunded.drop("psp_refunds", 3)
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refund re-3-refund.1 of 100 eur: in the books, not at the PSP"),
        ("1a2b-3", "refunds of 100: 1 acknowledged, 1 in the books, 0 at the PSP"),
    ]


def test_a_refund_that_only_the_psp_has(refunded, ask):
    refunded.drop("books_refunds", 3)
    refunded.of("books_payments", 3)["refunded_minor"] = 0
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refund re-3-refund.1 of 100 eur: at the PSP, not in the books"),
        ("1a2b-3", "refunds of 100: 1 acknowledged, 0 in the books, 1 at the PSP"),
    ]


def test_a_refund_booked_twice(refunded, ask):
    refunded["books_refunds"].append({**refunded.of("books_refunds", 3), "refund": "again"})
    refunded.of("books_payments", 3)["refunded_minor"] = 200
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refund re-3-refund.1 of 100 eur: booked 2 times")
    ]


def test_a_refund_that_names_none_of_the_psp(refunded, ask):
    refunded.of("books_refunds", 3)["psp_refund"] = None
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refund refund-3-refund.1 of 100 eur names none of the PSP"),
        ("1a2b-3", "refund re-3-refund.1 of 100 eur: at the PSP, not in the books"),
    ]


def test_books_that_name_no_refund_of_the_psp_at_all(refunded, ask):
    for row in refunded["books_refunds"]:
        row["psp_refund"] = None
    said = ask(refunds, refunded.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "the books name no refund of the PSP, so refunds cannot be compared one by one"
    ]


@pytest.mark.parametrize("psp_refund", ["re-3-refund.1", None])
def test_a_refund_still_in_flight(refunded, ask, psp_refund):
    refunded.of("books_refunds", 3).update(state="processing", psp_refund=psp_refund)
    refunded.of("books_payments", 3)["refunded_minor"] = 0
    unask(refunded, 3)
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refund refund-3-refund.1 of 100 eur is still processing")
    ]


def test_a_duplicate_that_was_undone_needs_no_booking(refunded, ask):
    charge = refunded.charge(5, refunded_minor=1005)
    refunded["psp_refunds"].append(
        {
            "refund": "re-dup",
            "charge": charge["charge"],
            "reference": "1a2b-5",
            "amount_minor": 1005,
            "currency": "eur",
            "status": "succeeded",
        }
    )
    assert ask(refunds, refunded.run()).passes


def test_a_duplicate_excuses_no_refund_of_a_customer(refunded, ask):
    refunded.charge(3)
    refunded.drop("books_refunds", 3)
    refunded.of("books_payments", 3)["refunded_minor"] = 0
    unask(refunded, 3)
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refund re-3-refund.1 of 100 eur: at the PSP, not in the books")
    ]


def test_a_duplicate_excuses_no_more_than_itself(refunded, ask):
    for name in ("re-a", "re-b"):
        charge = refunded.charge(5, refunded_minor=1005)
        refunded["psp_refunds"].append(
            {"refund": name, "charge": charge["charge"], "reference": "1a2b-5"}
            | {"amount_minor": 1005, "currency": "eur", "status": "succeeded"}
        )
    assert ask(refunds, refunded.run()).passes  # of three captures one is kept
    refunded["psp_charges"].remove(refunded.of("psp_charges", 5))
    assert ask(refunds, refunded.run()).about == ["1a2b-5", "1a2b-5"]


@pytest.mark.parametrize("reference", ["1a2b-3", None])
def test_a_refund_in_flight_that_names_nothing_hides_no_other(refunded, ask, reference):
    refunded.of("books_refunds", 4).update(state="processing", psp_refund=None, intent=None)
    extra = {"refund": "re-x", "amount_minor": 7, "reference": reference}
    refunded["psp_refunds"].append(refunded.of("psp_refunds", 3) | extra)
    said = messages(ask(refunds, refunded.run()))
    assert (reference, "refund re-x of 7 eur: at the PSP, not in the books") in said


def test_refunds_that_the_books_give_no_name_of_their_own(refunded, ask):
    for row in refunded["books_refunds"]:
        row["refund"] = None
    assert ask(refunds, refunded.run()).passes


def test_a_charge_that_the_books_do_not_count_as_paid_may_be_undone(refunded, ask):
    refunded.drop("books_refunds", 3)
    refunded.of("books_payments", 3).update(state="failed", captured_minor=0, refunded_minor=0)
    unask(refunded, 3)
    assert ask(refunds, refunded.run()).passes


def test_an_acknowledged_refund_is_not_made_up_for_by_another(refunded, ask):
    for table in ("books_refunds", "psp_refunds"):
        refunded[table].remove(refunded.all_of(table, 4)[0])
    refunded.of("books_payments", 4)["refunded_minor"] = 604
    refunded.of("psp_charges", 4)["refunded_minor"] = 604
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-4", "refunds of 400: 1 acknowledged, 0 in the books, 0 at the PSP")
    ]


def test_a_refund_that_named_no_amount(refunded, ask):
    (asked,) = [row for row in refunded["attempts"] if (row["n"], row["kind"]) == (3, "refund")]
    asked["amount_minor"] = None
    assert ask(refunds, refunded.run()).passes
    for table in ("books_refunds", "psp_refunds"):
        refunded.drop(table, 3)
    refunded.of("books_payments", 3)["refunded_minor"] = 0
    refunded.of("psp_charges", 3)["refunded_minor"] = 0
    assert messages(ask(refunds, refunded.run())) == [
        ("1a2b-3", "refunds: 1 acknowledged, 0 in the books, 0 at the PSP")
    ]


def test_a_refund_asked_for_twice_with_one_key_is_one(refunded, ask):
    refunded.attempt(3, 30.1, kind="refund", operation="refund.1", attempt=2, amount_minor=100)
    said = ask(refunds, refunded.run())
    assert said.passes
    assert said.value("refunds_asked_judged") == 3


SPOILS = {
    "too much": lambda h, n: h.refund(n, 5000, 35, "refund.9"),
    "lost at the PSP": lambda h, n: h.drop("psp_refunds", n),
    "lost in the books": lambda h, n: h.drop("books_refunds", n),
    "stuck": lambda h, n: h.of("books_refunds", n).update(state="processing"),
    "other amount": lambda h, n: h.of("psp_refunds", n).update(amount_minor=7),
    "other currency": lambda h, n: h.of("books_refunds", n).update(currency="usd"),
    "other sum": lambda h, n: h.of("books_payments", n).update(refunded_minor=7),
}


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    spoilt=st.dictionaries(
        st.sampled_from([n for n in range(20) if n % 7 != 6]), st.sampled_from(sorted(SPOILS))
    ),
)
def test_exactly_the_payments_with_wrong_refunds_are_found_in_any_order(
    seed, spoilt, flawless_run, same_in_any_order, ask
):
    history = flawless_run()
    drawn = random.Random(seed)
    for n in range(20):
        if n % 7 != 6 and (n in spoilt or drawn.random() < 0.5):
            history.refund(n, drawn.randint(10, 1000), 30)
    for n, how in spoilt.items():
        SPOILS[how](history, n)
    assert set(ask(refunds, history.run()).about) == {f"1a2b-{n}" for n in spoilt}
    same_in_any_order(refunds, history, seed)

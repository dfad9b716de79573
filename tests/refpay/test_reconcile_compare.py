"""The comparison of one payment with what the PSP has of it: plain values."""

from dataclasses import replace

import pytest

from payresil.refpay.books.values import Operation, Payment
from payresil.refpay.reconcile.compare import compare
from payresil.refpay.reconcile.matching import match
from payresil.refpay.reconcile.views import PspIntent, PspRefund

PAID = Payment("pay_a", "order", 1000, "eur", "automatic", "succeeded", 1000, 0,
               psp_payment="pi_1")  # fmt: skip
INTENT = PspIntent("pi_1", "succeeded", 1000, 1000, "eur", 10, "ch_1", "automatic", None,
                   "order", "pay_a", False, ())  # fmt: skip
REFUND = Operation("ref_a", "refund", "pay_a", "order", 400, "eur", "succeeded",
                   psp_object="re_1")  # fmt: skip
PSP_REFUND = PspRefund("re_1", "pi_1", "succeeded", 400, "eur", "ref_a", False)


def _types(payment, operations, intents):
    return [found.type for found in compare(payment, operations, intents)]


@pytest.mark.parametrize("state", ["declined", "failed", "canceled"])
def test_books_that_agree_have_no_breaks(state):
    refunded = replace(INTENT, refunds=(PSP_REFUND,))
    held = replace(PAID, state="authorized", captured_minor=0)

    assert _types(PAID, [], [INTENT]) == []
    assert _types(replace(PAID, refunded_minor=400), [REFUND], [refunded]) == []
    assert _types(held, [], [replace(INTENT, state="authorized", captured_minor=0)]) == []
    assert _types(replace(PAID, state=state), [], [replace(INTENT, state="declined")]) == []
    assert _types(replace(PAID, state=state), [], []) == []


@pytest.mark.parametrize(
    ("payment", "intents", "expected"),
    [
        (PAID, [], ["missing_psp"]),
        (PAID, [replace(INTENT, captured_minor=900)], ["amount"]),
        (PAID, [replace(INTENT, currency="usd")], ["currency"]),
        (PAID, [replace(INTENT, state="authorized", captured_minor=0)], ["status"]),
        (PAID, [replace(INTENT, state="declined")], ["status"]),
        (replace(PAID, state="authorized"), [INTENT], ["status"]),
        (replace(PAID, state="authorized"), [replace(INTENT, state="canceled")], ["status"]),
        (replace(PAID, state="declined"), [INTENT], ["status"]),
        (replace(PAID, state="processing"), [INTENT], ["stuck_unknown"]),
        (replace(PAID, state="processing"), [], ["stuck_unknown"]),
    ],
)
def test_each_disagreement_has_its_type(payment, intents, expected):
    assert _types(payment, [], intents) == expected


def test_of_duplicates_the_earliest_is_kept():
    second = replace(INTENT, id="pi_2", charge="ch_2", created=11)
    booked_second = replace(PAID, psp_payment="pi_2")

    for payment in (PAID, booked_second):
        (found,) = compare(payment, [], [second, INTENT])
        assert (found.type, found.intent, found.keep) == ("duplicate_psp", second, INTENT)


def test_of_duplicates_in_one_second_the_lists_order_decides():
    newest, earliest = replace(INTENT, id="pi_a"), replace(INTENT, id="pi_z")

    (found,) = compare(PAID, [], [newest, earliest])

    assert found.intent == newest


def test_a_duplicate_that_was_given_back_is_no_break():
    given_back = replace(PSP_REFUND, amount_minor=1000, operation=None, remedy=True)
    second = replace(INTENT, id="pi_2", created=11, refunds=(given_back,))

    assert _types(PAID, [], [second, INTENT]) == []


def test_the_intent_with_the_customers_refund_is_kept():
    second = replace(INTENT, id="pi_2", created=11, refunds=(PSP_REFUND,))
    payment = replace(PAID, psp_payment="pi_2", refunded_minor=400)

    (found,) = compare(payment, [REFUND], [second, INTENT])

    assert (found.type, found.intent) == ("duplicate_psp", INTENT)


@pytest.mark.parametrize(
    ("operations", "refunds"),
    [
        ([], [PSP_REFUND]),
        ([REFUND], []),
        ([replace(REFUND, state="processing")], [PSP_REFUND]),
        ([replace(REFUND, amount_minor=500)], [PSP_REFUND]),
        ([replace(REFUND, state="failed")], [PSP_REFUND]),
    ],
)
def test_refunds_that_differ_are_breaks(operations, refunds):
    assert _types(PAID, operations, [replace(INTENT, refunds=tuple(refunds))]) == [
        "refund_mismatch"
    ]


def test_what_is_being_worked_on_is_left_alone():
    assert _types(replace(PAID, state="processing", in_flight=True), [], [INTENT]) == []
    busy = replace(REFUND, state="processing", in_flight=True)
    assert _types(PAID, [busy], [replace(INTENT, refunds=(PSP_REFUND,))]) == []


def test_intents_find_their_payment_by_id_and_never_by_amount():
    other = replace(PAID, id="pay_b", psp_payment=None)
    by_books = replace(INTENT, payment=None, reference=None)
    ambiguous = replace(INTENT, id="pi_9", payment=None)
    fence = replace(INTENT, id="pi_f", fence=True, payment=None)

    matched, orphans = match([PAID, other], [INTENT, by_books, ambiguous, fence])

    assert matched == {"pay_a": [INTENT, by_books]}
    assert orphans == [ambiguous]  # two payments have its reference


def test_a_reference_of_one_payment_is_enough():
    intent = replace(INTENT, id="pi_9", payment=None)

    matched, orphans = match([PAID], [intent])

    assert (matched, orphans) == ({"pay_a": [intent]}, [])


def test_a_break_is_named_by_what_disagrees():
    first, again = (compare(PAID, [], []) for _ in range(2))

    assert [found.id for found in first] == [found.id for found in again] == ["missing_psp:pi_1"]

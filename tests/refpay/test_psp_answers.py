"""What the PSP's answers and failures mean, and when it is asked again."""

import pytest

from payresil.refpay.psp.answer import read_intent, read_refund
from payresil.refpay.psp.budget import RetryBudget
from payresil.refpay.psp.circuit import Circuit, CircuitOpenError
from payresil.refpay.psp.failure import is_outage, understand
from payresil.refpay.psp.sdk import stripe
from payresil.refpay.psp.transport import ConnectionRefused
from payresil.refpay.work.cards import HeldCards
from payresil.refpay.work.identifiers import id_of_key, new_id
from payresil.refpay.work.receive import interpret
from payresil.refpay.work.resolve import best


def _status(kind, status, headers=None, **fields):
    return kind("said", http_status=status, headers=headers or {}, **fields)


@pytest.mark.parametrize(
    ("status", "error", "state", "reason"),
    [
        ("succeeded", None, "succeeded", None),
        ("requires_capture", None, "authorized", None),
        ("canceled", None, "canceled", None),
        ("requires_payment_method", {"code": "card_declined", "decline_code": "lost"},
         "declined", "lost"),
        ("requires_payment_method", {"code": "expired_card"}, "declined", "expired_card"),
        ("requires_payment_method", None, None, None),
        ("requires_confirmation", None, None, None),
        ("requires_action", None, None, None),
        ("processing", None, None, None),
        ("something_new", None, None, None),
    ],
)  # fmt: skip
def test_an_intents_status_is_final_or_unknown(status, error, state, reason):
    answer = read_intent({"id": "pi", "status": status, "last_payment_error": error})

    assert (answer.state, answer.reason, answer.retry) == (state, reason, False)


@pytest.mark.parametrize(
    ("status", "state"),
    [("succeeded", "succeeded"), ("failed", "failed"), ("canceled", "failed"), ("pending", None)],
)
def test_a_refunds_status_is_final_or_unknown(status, state):
    assert read_refund({"id": "re", "status": status}).state == state


@pytest.mark.parametrize(
    ("error", "outcome", "state", "retry", "outage"),
    [
        (TimeoutError(), "timeout", None, True, True),
        (ConnectionResetError(), "broken", None, True, True),
        (stripe.APIConnectionError("x"), "broken", None, True, True),
        (ConnectionRefused("x"), "no_connection", None, True, True),
        (_status(stripe.APIError, 500), "http_500", None, True, True),
        (_status(stripe.APIError, 500, {"Stripe-Should-Retry": "false"}), "http_500", None, False,
         True),
        (_status(stripe.APIError, 500, {"Idempotent-Replayed": "true"}), "http_500", None, False,
         True),
        (_status(stripe.APIError, 503), "http_503", None, True, True),
        (_status(stripe.APIError, 409), "key_in_use", None, True, False),
        (_status(stripe.RateLimitError, 429), "rate_limited", None, True, False),
        (_status(stripe.IdempotencyError, 400), "key_conflict", None, False, False),
        (_status(stripe.InvalidRequestError, 400, param="p"), "refused", "failed", False, False),
        (_status(stripe.InvalidRequestError, 404, param="p"), "not_found", None, False, False),
        (_status(stripe.AuthenticationError, 401), "unauthorized", None, False, False),
        (_status(stripe.CardError, 402, param="p", code="card_declined"), "declined", "declined",
         False, False),
    ],
)  # fmt: skip
def test_a_failure_is_certain_or_unknown(error, outcome, state, retry, outage):
    answer = understand(error)

    assert (answer.outcome, answer.state, answer.retry) == (outcome, state, retry)
    assert is_outage(error) is outage


def test_of_several_intents_the_earliest_with_money_counts():
    def intent(id_, created, status):
        return {"id": id_, "created": created, "status": status}

    newest_first = [
        intent("pi_d", 3, "succeeded"), intent("pi_c", 2, "succeeded"),
        intent("pi_b", 2, "succeeded"), intent("pi_a", 1, "canceled"),
    ]  # fmt: skip

    assert best(newest_first).psp_object == "pi_b"
    assert best([intent("pi_x", 1, "canceled")]).state == "canceled"


def test_retries_are_a_share_of_requests_and_no_more():
    budget = RetryBudget(share=0.5, most=2)

    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(3):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]


def test_a_circuit_opens_after_outages_in_a_row_and_lets_few_try():
    states = []
    open_ms = 60_000

    def make():
        return Circuit(2, open_ms, lambda error: isinstance(error, OSError), states.append, 1)

    def fail(error):
        with pytest.raises(type(error)), circuit.guard():
            raise error

    circuit = make()
    fail(OSError())
    fail(ValueError())  # a decline, say: it breaks the row
    fail(OSError())
    assert (circuit.state, states) == ("closed", [])
    fail(OSError())
    assert (circuit.state, states) == ("open", ["open"])
    assert not circuit.lets_through
    with pytest.raises(CircuitOpenError), circuit.guard():
        pytest.fail("sent through an open circuit")

    states.clear()
    open_ms = 1
    circuit = make()
    fail(OSError())
    fail(OSError())
    while not circuit.lets_through:
        pass  # a millisecond
    with circuit.guard():
        assert circuit.state == "half-open"
        with pytest.raises(CircuitOpenError), circuit.guard():
            pytest.fail("a second trial at once")
    assert states == ["open", "half-open", "closed"]


def test_cards_are_held_in_turn_for_a_while():
    cards = HeldCards(hold_ms=60_000, most=3)
    for name in "abc":
        assert cards.hold(name, {"card": name})
    assert not cards.hold("d", {})

    assert cards.next(2) == ["a", "b"]
    assert cards.next(2) == ["c", "a"]
    cards.drop("b")
    assert cards.get("b") is None
    assert len(HeldCards(hold_ms=0)) == 0
    gone = HeldCards(hold_ms=0)
    gone.hold("a", {})
    assert (gone.get("a"), gone.next(1), len(gone)) == (None, [], 0)


def test_ids_have_no_digits_and_the_same_key_makes_the_same():
    ids = [new_id("pay"), new_id("pay"), id_of_key("pay", "s", "k"), id_of_key("pay", "s", "l"),
           id_of_key("pay", "t", "k"), id_of_key("ref", "s", "k")]  # fmt: skip

    assert len(set(ids)) == 6
    assert all(id_[3] == "_" and id_[4:].isalpha() and len(id_) == 32 for id_ in ids)
    assert id_of_key("pay", "s", "k") == ids[2]


def test_only_events_of_interest_call_for_a_change():
    intent = {"object": "payment_intent", "id": "pi", "status": "succeeded",
              "amount_received": 5, "metadata": {"payment": "pay_a"}}  # fmt: skip
    stranger = {"object": "refund", "id": "re", "status": "succeeded", "payment_intent": "pi"}

    assert interpret("e", "payment_intent.succeeded", intent).to == "succeeded"
    assert interpret("e", "payment_intent.created", intent).to is None
    assert interpret("e", "charge.succeeded", {"object": "charge", "id": "ch"}).to is None
    assert interpret("e", "refund.created", stranger).to is None
    fence = {**intent, "status": "canceled", "metadata": {"fence": "pay_a"}}
    fenced = interpret("e", "payment_intent.canceled", fence)
    assert (fenced.payment, fenced.to) == ("pay_a", None)

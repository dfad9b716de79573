"""The state machine of a payment: Stripe's PaymentIntents lifecycle, step by step."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stub_psp.engine import intents
from stub_psp.engine.refunds import refund
from stub_psp.engine.values import (
    Card,
    Change,
    Charge,
    Kind,
    PaymentIntent,
    PaymentMethod,
    RefusedError,
)

NOW = 1_700_000_000


def card(outcome: str = "approve") -> PaymentMethod:
    return PaymentMethod("pm_1", Card("visa", "4242", 12, 2030, "print", outcome))


def an_intent(method: PaymentMethod | None = None, *, manual: bool = False) -> PaymentIntent:
    return intents.create(
        PaymentIntent(
            id="pi_1",
            account="acct_1",
            created=NOW,
            amount=1000,
            currency="usd",
            capture_method="manual" if manual else "automatic",
            method=method,
            reference="r-1",
        )
    ).intent


def paid() -> tuple[PaymentIntent, Charge]:
    change = intents.confirm(an_intent(card()), None, "ch_1", NOW)
    assert change.charge is not None
    return change.intent, change.charge


def held() -> tuple[PaymentIntent, Charge]:
    change = intents.confirm(an_intent(card(), manual=True), None, "ch_1", NOW)
    assert change.charge is not None
    return change.intent, change.charge


def kinds(change: Change) -> list[Kind]:
    return [happening.kind for happening in change.happenings]


def test_create_waits_for_what_is_missing() -> None:
    assert an_intent().status == "requires_payment_method"
    assert an_intent(card()).status == "requires_confirmation"


def test_confirm_takes_the_money_at_once() -> None:
    change = intents.confirm(an_intent(card()), None, "ch_1", NOW)
    assert change.intent.status == "succeeded"
    assert change.intent.amount_received == 1000
    assert change.intent.latest_charge == "ch_1"
    assert change.charge is not None
    assert (change.charge.captured, change.charge.amount_captured) == (True, 1000)
    assert change.charge.reference == "r-1"
    assert kinds(change) == [Kind.CHARGE_SUCCEEDED, Kind.INTENT_SUCCEEDED]


def test_confirm_can_bring_the_payment_method() -> None:
    assert intents.confirm(an_intent(), card(), "ch_1", NOW).intent.status == "succeeded"


def test_confirm_without_a_payment_method_is_refused() -> None:
    with pytest.raises(RefusedError, match="no_payment_method"):
        intents.confirm(an_intent(), None, "ch_1", NOW)


def test_manual_capture_holds_the_money_first() -> None:
    intent, charge = held()
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1000)
    assert not charge.captured


def test_capture_takes_all_of_it() -> None:
    change = intents.capture(*held(), None, NOW)
    assert change.intent.status == "succeeded"
    assert (change.intent.amount_received, change.intent.amount_capturable) == (1000, 0)
    assert kinds(change) == [Kind.CHARGE_CAPTURED, Kind.INTENT_SUCCEEDED]


def test_capture_takes_a_part_and_releases_the_rest() -> None:
    change = intents.capture(*held(), 400, NOW)
    assert change.charge is not None
    assert change.intent.amount_received == change.charge.amount_captured == 400
    assert change.charge.released


def test_capture_of_more_than_was_authorized_is_refused() -> None:
    with pytest.raises(RefusedError, match="amount_exceeds_capturable"):
        intents.capture(*held(), 1001, NOW)


def test_capture_twice_is_refused() -> None:
    change = intents.capture(*held(), None, NOW)
    assert change.charge is not None
    with pytest.raises(RefusedError, match="already_captured"):
        intents.capture(change.intent, change.charge, None, NOW)


def test_a_decline_sends_the_intent_back_for_another_card() -> None:
    change = intents.confirm(an_intent(card("insufficient_funds")), None, "ch_1", NOW)
    assert change.decline is not None
    assert change.decline.reason == "insufficient_funds"
    assert change.intent.status == "requires_payment_method"
    assert change.intent.method is None
    assert change.charge is not None
    assert (change.charge.status, change.charge.amount_captured) == ("failed", 0)
    assert kinds(change) == [Kind.CHARGE_FAILED, Kind.INTENT_FAILED]
    again = intents.confirm(change.intent, card(), "ch_2", NOW)
    assert again.intent.status == "succeeded"
    assert again.intent.decline is None


def test_authentication_comes_before_the_issuer() -> None:
    waiting = intents.confirm(an_intent(card("authenticate")), None, "ch_1", NOW)
    assert waiting.intent.status == "requires_action"
    assert waiting.charge is None
    passed = intents.authenticate(waiting.intent, True, "ch_1", NOW)
    assert passed.intent.status == "succeeded"
    failed = intents.authenticate(waiting.intent, False, "ch_1", NOW)
    assert failed.intent.status == "requires_payment_method"
    assert failed.decline is not None
    assert failed.decline.reason == "authentication_failed"


def test_the_issuer_may_decline_after_authentication() -> None:
    method = card("authenticate:insufficient_funds")
    waiting = intents.confirm(an_intent(method), None, "ch_1", NOW)
    change = intents.authenticate(waiting.intent, True, "ch_1", NOW)
    assert change.decline is not None
    assert change.decline.reason == "insufficient_funds"


@pytest.mark.parametrize("status", ["succeeded", "canceled"])
def test_nothing_leaves_a_terminal_state(status: str) -> None:
    intent, charge = paid()
    intent = replace(intent, status=status)
    with pytest.raises(RefusedError):
        intents.confirm(intent, card(), "ch_2", NOW)
    with pytest.raises(RefusedError):
        intents.capture(intent, charge, None, NOW)
    with pytest.raises(RefusedError):
        intents.cancel(intent, charge, None, NOW)


@pytest.mark.parametrize("method", [None, card(), card("authenticate")])
def test_cancel_from_every_open_state(method: PaymentMethod | None) -> None:
    intent = an_intent(method)
    if method is not None and method.card.outcome == "authenticate":
        intent = intents.confirm(intent, None, "ch_1", NOW).intent
    change = intents.cancel(intent, None, "abandoned", NOW)
    assert change.intent.status == "canceled"
    assert change.intent.cancellation_reason == "abandoned"
    assert change.intent.canceled_at == NOW


def test_cancel_releases_an_authorization() -> None:
    intent, charge = held()
    change = intents.cancel(intent, charge, None, NOW)
    assert change.intent.amount_capturable == 0
    assert change.charge is not None
    assert change.charge.released
    assert change.charge.amount_captured == 0


def test_an_authorization_expires_after_seven_days() -> None:
    intent, charge = held()
    assert intents.expire(intent, charge, NOW + intents.AUTHORIZATION_S - 1) is None
    change = intents.expire(intent, charge, NOW + intents.AUTHORIZATION_S)
    assert change is not None
    assert change.intent.status == "canceled"
    assert change.intent.cancellation_reason == "automatic"
    assert kinds(change) == [Kind.CHARGE_EXPIRED, Kind.INTENT_CANCELED]


def test_refund_gives_back_all_that_is_left() -> None:
    intent, charge = paid()
    first = refund(intent, charge, 300, refund_id="re_1", now=NOW)
    assert first.charge is not None
    rest = refund(intent, first.charge, None, refund_id="re_2", now=NOW)
    assert rest.refund is not None
    assert rest.refund.amount == 700
    assert kinds(rest) == [Kind.REFUND_CREATED, Kind.CHARGE_REFUNDED]


def test_refunds_stop_at_what_was_captured() -> None:
    intent, charge = paid()
    with pytest.raises(RefusedError, match="amount_exceeds_refundable"):
        refund(intent, charge, 1001, refund_id="re_1", now=NOW)
    all_of_it = refund(intent, charge, None, refund_id="re_1", now=NOW)
    assert all_of_it.charge is not None
    with pytest.raises(RefusedError, match="already_refunded"):
        refund(intent, all_of_it.charge, 1, refund_id="re_2", now=NOW)


def test_where_nobody_looks_refunds_go_beyond_what_was_captured() -> None:
    intent, charge = paid()

    def unchecked(charge: Charge, amount: int | None) -> tuple[int, Charge]:
        change = refund(intent, charge, amount, refund_id="re_1", now=NOW, checked=False)
        assert change.refund is not None
        assert change.charge is not None
        assert kinds(change) == [Kind.REFUND_CREATED, Kind.CHARGE_REFUNDED]
        return change.refund.amount, change.charge

    given, charge = unchecked(charge, 800)
    assert given == 800
    given, _ = unchecked(charge, None)
    assert given == 200  # all that is left
    given, charge = unchecked(charge, 700)
    assert (given, charge.amount_refunded) == (700, 1500)
    given, charge = unchecked(charge, None)
    assert (given, charge.amount_refunded) == (1000, 2500)  # all of it, once more
    with pytest.raises(RefusedError, match="already_refunded"):
        refund(intent, charge, None, refund_id="re_2", now=NOW)


def test_what_was_not_captured_cannot_be_refunded() -> None:
    for checked in (True, False):
        with pytest.raises(RefusedError, match="not_refundable"):
            refund(*held(), None, refund_id="re_1", now=NOW, checked=checked)


def test_a_refusal_has_a_known_reason() -> None:
    with pytest.raises(ValueError, match="unknown reason"):
        RefusedError("because")

"""Cards by number and by token: what the simulated issuers answer."""

from __future__ import annotations

import pytest

from stub_psp.dialects.stripe.cards import TOKENS, brand, from_number, luhn
from stub_psp.dialects.stripe.declines import DECLINES
from stub_psp.engine.values import RefusedError

CARD = {
    "payment_method_data[type]": "card",
    "payment_method_data[card][exp_month]": 12,
    "payment_method_data[card][exp_year]": 2040,
    "payment_method_data[card][cvc]": "123",
}


def pay_with(desk, number, **more):
    typed = {**CARD, "payment_method_data[card][number]": number, **more}
    params = {"amount": 1000, "currency": "usd", "confirm": "true", **typed}
    return desk("POST", "payment_intents", params)


def test_every_test_token_is_a_card(desk):
    for token, number in TOKENS.items():
        assert luhn(number), token
        assert brand(number), token
        answer = desk.pay(payment_method=token)
        assert answer.status in (200, 402), token


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000009979", "card_declined", "stolen_card"),
        ("4000000000000069", "expired_card", None),
        ("4000000000000127", "incorrect_cvc", None),
        ("4000000000000119", "processing_error", None),
        ("4000000000000341", "card_declined", "generic_decline"),
    ],
)
def test_declines(desk, number, code, decline_code):
    declined = pay_with(desk, number)
    assert declined.status == 402
    error = declined.error
    assert error["type"] == "card_error"
    assert error["code"] == code
    assert error.get("decline_code") == decline_code
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert error["payment_intent"]["last_payment_error"]["code"] == code
    assert error["charge"].startswith("ch_")
    assert error["payment_method"]["card"]["last4"] == number[-4:]
    assert desk.announced == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


@pytest.mark.parametrize(
    ("number", "more", "code"),
    [
        ("4242424242424241", {}, "incorrect_number"),
        ("42424242", {}, "incorrect_number"),
        ("378282246310005", {}, "card_declined"),  # a brand that is not simulated
        ("4242424242424242", {"exp_month": 13}, "invalid_expiry_month"),
        ("4242424242424242", {"exp_year": 2020}, "invalid_expiry_year"),
        ("4242424242424242", {"cvc": "12"}, "invalid_cvc"),
    ],
)
def test_cards_that_are_none(desk, number, more, code):
    typed = {f"payment_method_data[card][{name}]": value for name, value in more.items()}
    refused = pay_with(desk, number, **typed)
    assert (refused.status, refused.error["code"]) == (402, code)
    assert desk.count("intents") == 0


@pytest.mark.parametrize(
    "number", ["4242 4242 4242 4242", "5555-5555-5555-4444", "2223003122003222"]
)
def test_any_good_card_is_approved(desk, number):
    assert pay_with(desk, number).json["status"] == "succeeded"


def test_a_card_keeps_its_fingerprint_and_loses_its_number():
    now = (2025, 1)
    one = from_number("4242424242424242", 1, 30, None, secret=b"s", now=now)
    two = from_number("4242424242424242", 5, 2031, "123", secret=b"s", now=now)
    other = from_number("5555555555554444", 5, 2031, "123", secret=b"s", now=now)
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.exp_year == 2030
    assert "4242424242424242" not in repr(one)
    with pytest.raises(RefusedError):
        from_number("", 1, 30, None, secret=b"s", now=now)


def test_every_decline_has_words():
    assert {"generic_decline", "authentication_failed", "invalid_cvc"} <= DECLINES.keys()

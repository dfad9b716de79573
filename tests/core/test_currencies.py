from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.currencies import decimal, decimals
from payresil.core.mapping import build
from payresil.core.system import Api, Operation


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1234, "eur", "12.34"), (5, "EUR", "0.05"), (0, "usd", "0.00"), (1234, "jpy", "1234"),
     (1234, "kwd", "1.234"), (7, "KWD", "0.007"), (-5, "eur", "-0.05"),
     (10**18, "jpy", "1" + "0" * 18)],
)  # fmt: skip
def test_amounts_as_people_write_them(minor: int, currency: str, text: str) -> None:
    assert decimal(minor, currency) == text


@given(st.integers(-(2**63), 2**63), st.sampled_from(["eur", "JPY", "tnd"]))
def test_nothing_is_lost(minor: int, currency: str) -> None:
    text = decimal(minor, currency)
    assert Decimal(text).scaleb(decimals(currency)) == minor
    assert len(text.partition(".")[2]) == decimals(currency)


def test_a_request_may_ask_for_them() -> None:
    body = {"amount": "{amount_decimal}", "currency": "{currency_upper}"}
    api = Api({"create": Operation("POST /p", body)})
    request = build(api, "create", {"amount_minor": 1234, "currency": "eur"})
    assert request.body == b'{"amount":"12.34","currency":"EUR"}'
    part = build(api, "create", {"amount_minor": 5, "currency": "eur"})
    assert b"0.05" in part.body

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.cards import PREFIXES, canary_cards, luhn_digit

#: Test cards that Stripe documents, or did (docs.stripe.com/testing), of sixteen digits.
_DOCUMENTED = """
4242424242424242 4000056655665556 5555555555554444 2223003122003222 5200828282828210
5105105105105100 4012888888881881 4000000000000002 4000000000009995 4000000000009987
4000000000009979 4000000000000069 4000000000000127 4000000000000119 4242424242424241
4000000000006975 4100000000000019 4000000000004954 4000000000009235 4000000000000101
4000000000000036 4000000000000028 4000000000000010 4000000000000259 4000000000002685
4000000000001976 4000000000005423 4000000000000077 4000000000003720 4000000000000093
4000002500003155 4000002760003184 4000003800000446 4000000000003220 4000008400001629
4000008400001280 4000000000003055 4000000000003097 4000000000000341 4000000760000002
4000001240000000 4000004840008001 4000000400000008 4000000560000004 4000002500000003
4000002760000016 4000003720000005 4000005280000002 4000005780000007 4000006160000005
4000007240000007 4000007520000008 4000007560000009 4000008260000000 4000058260000005
4000000360000006 4000001560000002 4000003440000004 4000003560000008 4000003920000003
4000004580000002 4000005540000008 4000007020000003 4000007640000003 4111111111111111
"""
DOCUMENTED = _DOCUMENTED.split()


def is_valid(number: str) -> bool:
    return luhn_digit(number[:-1]) == number[-1]


@pytest.mark.parametrize("number", ["4242424242424242", "5555555555554444", "378282246310005"])
def test_the_check_digit_of_known_cards(number: str) -> None:
    assert is_valid(number)


@given(st.binary(max_size=100), st.integers(0, 40))
def test_canaries_are_valid_distinct_and_no_documented_test_card(secret: bytes, k: int) -> None:
    cards = canary_cards(secret, k)
    assert len(set(cards)) == len(cards) == k
    for card in cards:
        assert len(card) == 16
        assert card.isdecimal()
        assert is_valid(card)
        assert card.startswith(PREFIXES)
        assert card not in DOCUMENTED


def test_no_documented_test_card_has_a_prefix_of_the_canaries() -> None:
    assert [card for card in DOCUMENTED if card.startswith(PREFIXES)] == []


def test_prefixes_are_of_visa_or_mastercard() -> None:
    for prefix in PREFIXES:
        first = int(prefix[:4])
        assert prefix[0] == "4" or 5100 <= first <= 5599 or 2221 <= first <= 2720


def test_canaries_are_the_runs_own() -> None:
    assert canary_cards(b"one run", 16) == canary_cards(b"one run", 16)
    assert not set(canary_cards(b"one run", 16)) & set(canary_cards(b"another", 16))
    assert canary_cards(b"one run", 16)[:4] == canary_cards(b"one run", 4)

"""Form encoding, nested as Stripe nests it."""

from __future__ import annotations

import pytest

from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.forms import pairs, tree


@pytest.mark.parametrize(
    ("encoded", "nested"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a%5Bb%5D=x+y%26", {"a": {"b": "x y&"}}),
        ("e[]=x&e[]=y", {"e": {"0": "x", "1": "y"}}),
        ("e[0]=x&e[1]=y", {"e": {"0": "x", "1": "y"}}),
        ("a=1&a=2", {"a": "2"}),
        ("a[b=1", {"a[b": "1"}),
        ("a=%C3%A9", {"a": "é"}),
        ("e[][x]=1&e[][x]=2", {"e": {"0": {"x": "1"}, "1": {"x": "2"}}}),
    ],
)
def test_forms(encoded, nested):
    assert tree(pairs(encoded)) == nested


@pytest.mark.parametrize(
    "encoded",
    ["a=1&a[b]=2", "a[b]=2&a=1", "a[[b]]=1", "a" + "[b]" * 9 + "=1", "a=%FF", "a=1&" * 600],
)
def test_forms_that_make_no_sense(encoded):
    with pytest.raises(ApiError):
        tree(pairs(encoded))


def test_bytes_that_are_not_ascii_are_an_error():
    with pytest.raises(ApiError, match="400"):
        pairs(b"a=\xff")

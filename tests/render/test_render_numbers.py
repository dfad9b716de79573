"""Numbers keep their meaning when they are rounded for people."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.results import Measure
from payresil.render import numbers


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1632, "", "1,632"),
        (71.324, "ms", "71.32 ms"),
        (1234.56, "ms", "1,235 ms"),
        (0.00012346, "s", "0.0001235 s"),
        (1e-9, "s", "1e-09 s"),
        (99.93, "%", "99.93%"),
        (99.9996, "%", "99.9996%"),
        (0.0004, "%", "0.0004%"),
        (100.0, "%", "100%"),
        (0, "%", "0%"),
        (0.972, "share", "97.2%"),
        (30.0, "/s", "30/s"),
        (None, "s", "not measured"),
        (math.inf, "s", "∞"),
        (math.nan, "s", "not a number"),
        (-2.5, "s", "-2.5 s"),
    ],
)
def test_a_quantity_is_shown_with_its_unit(value, unit, shown):
    assert numbers.quantity(value, unit) == shown


def test_a_measure_shows_its_interval():
    assert numbers.measure(Measure("x", 97.2, "%", 93.9, 98.8)) == "97.2% [93.9% to 98.8%]"
    assert numbers.measure(Measure("x", 3)) == "3"
    assert numbers.interval(Measure("x", 3, low=1)) == "1 or more"
    assert numbers.interval(Measure("x", 3, high=4)) == "4 or less"
    assert numbers.interval(Measure("x", 3)) == ""


@given(st.floats(min_value=0, max_value=100))
def test_a_share_is_never_rounded_to_all_or_nothing(value):
    shown = numbers.percent(value)
    assert (shown == "100%") == (value == 100.0)
    assert (shown == "0%") == (value == 0.0)


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_number_keeps_four_digits(value):
    shown = float(numbers.number(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=5.1e-4, abs=1e-300)


@given(st.integers(min_value=0))
def test_whole_numbers_are_shown_in_full(value):
    shown = numbers.number(value)
    assert int(shown.replace(",", "")) == value
    assert re.fullmatch(r"\d{1,3}(,\d{3})*", shown)

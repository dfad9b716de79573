"""Axes are labelled with round numbers that hold the data, and stay inside the plot."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.render.charts.scale import (
    Scale,
    bin_width,
    linear_ticks,
    log_ticks,
    time_label,
    time_ticks,
)

POSITIVE = st.floats(min_value=1e-6, max_value=1e12)


@given(POSITIVE)
def test_linear_ticks_start_at_zero_and_hold_the_highest(high):
    ticks = linear_ticks(high)
    steps = [b - a for a, b in pairwise(ticks)]
    assert ticks[0] == 0
    assert ticks[-1] >= high * (1 - 1e-6)
    assert ticks[-2] < high
    assert 2 <= len(ticks) <= 7
    assert all(step == pytest.approx(steps[0], rel=1e-6) for step in steps)
    digits = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert any(digits == pytest.approx(round_number) for round_number in (1, 2, 5, 10))


def test_linear_ticks_of_nothing():
    assert linear_ticks(0) == [0.0, 1.0]


@pytest.mark.parametrize("high", [-1.0, math.inf, math.nan])
def test_an_axis_needs_a_finite_end(high):
    with pytest.raises(ValueError, match="finite"):
        linear_ticks(high)


@given(POSITIVE, st.floats(1, 1e9))
def test_log_ticks_hold_the_data_and_rise(low, factor):
    high = low * factor
    ticks = log_ticks(low, high)
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= low * (1 + 1e-6)
    assert ticks[-1] >= high * (1 - 1e-6)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 1), (1, math.inf)])
def test_a_logarithmic_axis_needs_a_positive_range(low, high):
    with pytest.raises(ValueError, match="logarithmic"):
        log_ticks(low, high)


@given(st.floats(-1e5, 1e5), st.floats(1, 1e7))
def test_time_ticks_are_within_and_few(start, span):
    ticks = time_ticks(start, start + span)
    assert len(ticks) <= 12
    assert all(start - 1e-3 <= tick <= start + span + 1e-3 for tick in ticks)
    if start <= 0 <= start + span:
        assert 0.0 in ticks


def test_time_labels_have_one_unit():
    assert [time_label(t, 5) for t in (-5.0, 0.0, 90.0)] == ["−5 s", "0 s", "90 s"]
    assert time_label(120, 60) == "2 min"
    assert time_label(7200, 3600) == "2 h"


@given(st.floats(0, 1e8))
def test_a_long_run_has_few_points(span):
    assert span / bin_width(span) <= 360


@given(POSITIVE, st.floats(1.001, 1e6), st.booleans(), st.floats(allow_nan=False))
def test_a_scale_never_leaves_the_plot(low, factor, log, value):
    scale = Scale(low, low * factor, 200.0, 10.0, log)
    assert 10.0 <= scale(value) <= 200.0
    assert scale(low) == 200.0
    assert scale(low * factor) == pytest.approx(10.0)


@given(POSITIVE, POSITIVE, st.booleans())
def test_a_scale_keeps_the_order(one, other, log):
    scale = Scale(1e-6, 1e12, 0.0, 100.0, log)
    low, high = sorted([one, other])
    assert scale(low) <= scale(high)


def test_a_scale_of_one_value_is_its_start():
    assert Scale(5, 5, 200, 10)(5) == 200

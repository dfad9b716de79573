from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.intervals import nearest_rank, rank_interval, trials_to_show, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Brown, Cai and DasGupta 2001 and every textbook after it
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (1, 29, 0.0061, 0.1718),
        (0, 20, 0.0, 0.1611),
    ],
)
def test_wilson_as_published(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=6e-5)


def test_wilson_of_nothing_is_everything():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10**7), st.data())
def test_wilson_holds_the_share_and_mirrors(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = wilson(trials - successes, trials)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-9)


@pytest.mark.parametrize(("share", "trials"), [(0.5, 4), (0.9, 35), (0.99, 381), (0.999, 3838)])
def test_how_many_it_takes(share, trials):
    assert trials_to_show(share) == trials
    assert wilson(trials, trials)[0] >= share > wilson(trials - 1, trials - 1)[0]


@pytest.mark.parametrize(
    ("quantile", "n", "rank"),
    [
        (0.5, 1, 1),
        (0.5, 2, 1),
        (0.5, 3, 2),
        (0.95, 20, 19),
        (0.99, 100, 99),
        (0.99, 101, 100),
        (0.99, 10, 10),
        (0.95, 1_000_000, 950_000),
    ],
)
def test_nearest_rank(quantile, n, rank):
    assert nearest_rank(quantile, n) == rank


def slowly(percent: int, n: int) -> tuple[int | None, int | None]:
    """The ranks by exact fractions: P(X < low) and P(X >= high) are at most 2.5 %."""
    p = Fraction(percent, 100)
    mass = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    tail = Fraction(25, 1000)
    lows = [rank for rank in range(1, n + 1) if sum(mass[:rank]) <= tail]
    highs = [rank for rank in range(1, n + 1) if sum(mass[rank:]) <= tail]
    return max(lows, default=None), min(highs, default=None)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), st.sampled_from([50, 95, 99]))
def test_rank_interval_against_exact_fractions(n, percent):
    assert rank_interval(percent / 100, n) == slowly(percent, n)


@pytest.mark.parametrize("n", [367, 368, 369])
def test_the_least_sample_that_bounds_p99(n):
    # 0.99 ** 367 is just above 0.025, 0.99 ** 368 just below.
    assert (rank_interval(0.99, n)[1] is not None) == (n >= 368)


@pytest.mark.parametrize("n", [10_000, 1_000_000, 50_000_000])
def test_large_samples_follow_the_normal_approximation(n):
    low, high = rank_interval(0.99, n)
    spread = 1.959964 * (n * 0.99 * 0.01) ** 0.5
    assert low == pytest.approx(0.99 * n - spread, abs=3)
    assert high == pytest.approx(0.99 * n + spread, abs=3)

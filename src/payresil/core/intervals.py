"""How far a sample can be trusted: 95 % intervals of shares and of percentiles.

None of this assumes a distribution of what is measured. Intents of one run are not quite
independent of each other, so the true intervals are somewhat wider than these.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95

#: Standard normal quantile of a two-sided 95 % interval.
_Z = 1.959963984540054


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in 0…1; of no trials it is everything.

    It stays inside 0…1 and holds its level where a share is near 0 or 1, as availability is
    (Wilson 1927; recommended by Brown, Cai and DasGupta 2001).
    """
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + _Z**2 / trials
    centre = share + _Z**2 / (2 * trials)
    half = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == trials else min(1.0, (centre + half) / scale)
    return low, high


def trials_to_show(share: float) -> int:
    """How many trials, all of them successes, put the whole Wilson interval at `share` or above.

    `share` is below 1: nothing but a count of everything shows a share of 1.
    """
    trials = max(1, math.ceil(_Z**2 * share / (1 - share)))
    while wilson(trials, trials)[0] < share:  # the formula above, rounded the wrong way
        trials += 1
    return trials


def nearest_rank(quantile: float, n: int) -> int:
    """Which of `n` values in ascending order is the quantile, counted from 1."""
    # 0.95 * 20 is 19.000000000000004 in floating point, and its ceiling must be 19.
    return min(n, max(1, math.ceil(round(quantile * n, 9))))


def rank_interval(quantile: float, n: int) -> tuple[int | None, int | None]:
    """Ranks, from 1, of the values that bound the quantile with 95 % confidence.

    How many of `n` values lie below the quantile is binomial, whatever they are distributed
    like. None: the sample is too small to bound that side.
    """
    tail = (1 - CONFIDENCE) / 2
    low = _binomial_quantile(tail, n, quantile)
    high = _binomial_quantile(1 - tail, n, quantile) + 1
    return (low if low >= 1 else None), (high if high <= n else None)


def _binomial_quantile(level: float, n: int, p: float) -> int:
    """The smallest k with P(X ≤ k) ≥ `level`, of X binomial (n, p), 0 < p < 1."""
    spread = 12 * math.sqrt(n * p * (1 - p)) + 12  # beyond it lies less than 1e-30
    k = max(0, math.floor(n * p - spread))
    log_odds = math.log(p) - math.log1p(-p)
    log_mass = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(p)
        + (n - k) * math.log1p(-p)
    )
    below = math.exp(log_mass)
    while below < level and k < n:
        log_mass += math.log((n - k) / (k + 1)) + log_odds
        k += 1
        below += math.exp(log_mass)
    return k

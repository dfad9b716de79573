"""Axes of values, and the series as pixels on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from payresil.render.charts.chart import Axis
from payresil.render.charts.scale import Scale, linear_ticks, log_ticks
from payresil.render.charts.series import Series
from payresil.render.charts.stage import Stage
from payresil.render.numbers import quantity

#: Values that span more than this are drawn on a logarithmic axis.
_LINEAR_UP_TO = 20

#: What a pointer is told: from, to (seconds), words.
Told = list[tuple[float, float, str]]


def linear(high: float, where: Stage, *, unit: str = "", most: float | None = None) -> Axis:
    """An axis from 0 to a round number at or above `high`, but not above `most`."""
    ticks = linear_ticks(high)
    if most is not None:
        ticks = [tick for tick in ticks if tick <= most]
    scale = Scale(0.0, ticks[-1], where.bottom, where.top)
    return Axis(scale, [(tick, quantity(tick, unit)) for tick in ticks])


def spanning(low: float, high: float, where: Stage, *, unit: str) -> Axis:
    """An axis for `low` to `high`, both positive: logarithmic when they are far apart."""
    if high <= low * _LINEAR_UP_TO:
        return linear(high, where, unit=unit)
    ticks = log_ticks(low, high)
    scale = Scale(ticks[0], ticks[-1], where.bottom, where.top, log=True)
    return Axis(scale, [(tick, quantity(tick, unit)) for tick in ticks])


def heights(values: Sequence[float | None], scale: Scale) -> list[float | None]:
    """The pixels of `values`; None stays None."""
    return [None if value is None else scale(value) for value in values]


def told(data: Series, words: Callable[[int], str]) -> Told:
    """`words` of every stretch, with the time that it stands for."""
    return [
        (start, end, f"{start:,.0f} to {end:,.0f} s: {words(i)}")
        for i, (start, end) in enumerate(pairwise(data.edges_s))
    ]


def stretch(data: Series) -> str:
    """How long one point of the series stands for, in words."""
    return "one second" if data.width_s == 1 else f"a stretch of {data.width_s:,} s"

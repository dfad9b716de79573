"""From values to pixels, and the round numbers that axes are labelled with."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Steps of a time axis in seconds, up to a day; beyond, whole days.
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)

_LOG_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``low…high`` onto ``start…end`` pixels, linearly or by logarithm.

    Values outside are held at the ends, so that nothing is drawn outside the plot.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of `value`."""
        low, high = self._place(self.low), self._place(self.high)
        share = 0.0 if high == low else (self._place(value) - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _place(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def linear_ticks(high: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to the first that is not below `high`, about `count` steps.

    Raises:
        ValueError: when `high` is negative or not finite.
    """
    if not math.isfinite(high) or high < 0:
        raise ValueError(f"an axis needs a finite upper end, not {high}")
    if high == 0:
        return [0.0, 1.0]
    step = _round_up(high / count)
    steps = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(steps + 1)]


def _round_up(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    for factor in (*_LOG_STEPS, 10):
        if step <= factor * power * (1 + 1e-9):
            return factor * power
    return 10 * power


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten around ``low…high``; only the powers when there are many.

    Raises:
        ValueError: unless 0 < low <= high, both finite.
    """
    if not (0 < low <= high and math.isfinite(high)):
        raise ValueError(f"a logarithmic axis needs 0 < low <= high, not {low} and {high}")
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [factor * 10.0**power for power in range(first, last + 1) for factor in _LOG_STEPS]
    below = [tick for tick in every if tick <= low * (1 + 1e-9)]
    above = [tick for tick in every if tick >= high * (1 - 1e-9)]
    ends = (below[-1] if below else every[0], above[0] if above else every[-1])
    ticks = [tick for tick in every if ends[0] <= tick <= ends[1]]
    if len(ticks) <= 8:
        return ticks
    powers = [tick for tick in ticks if math.log10(tick) % 1 < 1e-9]
    return sorted({ends[0], *powers, ends[1]})


def time_ticks(start_s: float, end_s: float, count: int = 10) -> list[float]:
    """Round times within ``start_s…end_s``, at most about `count`, zero among them if it can be."""
    span = max(end_s - start_s, 1e-9)
    step: float = next((s for s in _TIME_STEPS if span / s <= count), 0)
    if not step:
        step = 86400 * math.ceil(span / 86400 / count)
    first = math.ceil(start_s / step - 1e-9)
    last = math.floor(end_s / step + 1e-9)
    return [float(i * step) for i in range(first, last + 1)]


def time_label(seconds: float, step: float) -> str:
    """``15 s``, ``2 min`` or ``1 h``: one unit for a whole axis, given by the step of its ticks."""
    for unit, factor in (("h", 3600), ("min", 60)):
        if step >= factor and step % factor == 0:
            return f"{seconds / factor:g} {unit}".replace("-", "−")
    return f"{seconds:g} s".replace("-", "−")


def bin_width(span_s: float, most: int = 360) -> int:
    """Whole seconds that one point of a series stands for, so that there are at most `most`."""
    for step in _TIME_STEPS:
        if span_s / step <= most:
            return step
    return 86400 * math.ceil(span_s / 86400 / most)

"""Numbers as people read them: a thousands separator, four significant digits, the unit."""

from __future__ import annotations

import math

from payresil.core.results import Measure

_DIGITS = 4

#: Units of a share of one, shown as per cent.
_SHARES = frozenset({"share", "ratio"})


def number(value: float | int) -> str:
    """`value` to four significant digits; whole numbers in full."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        return f"{value:.{_DIGITS}g}"
    decimals = max(0, _DIGITS - 1 - magnitude)
    return _trimmed(f"{value:,.{decimals}f}")


def percent(value: float) -> str:
    """`value`, of a hundred, never rounded up to 100% nor down to 0%."""
    for decimals in range(2, 9):
        text = f"{value:.{decimals}f}"
        if float(text) not in (0.0, 100.0) or value in (0.0, 100.0):
            return f"{_trimmed(text)}%"
    return f"{value!r}%"


def quantity(value: float | int | None, unit: str = "") -> str:
    """`value` with its unit; None was not measured."""
    if value is None:
        return "not measured"
    if not math.isfinite(value):
        return number(value)
    if unit == "%":
        return percent(float(value))
    if unit in _SHARES:
        return percent(float(value) * 100)
    if unit.startswith("/"):
        return f"{number(value)}{unit}"
    return f"{number(value)} {unit}".rstrip()


def measure(what: Measure) -> str:
    """The value of `what` and, where it has one, its 95% interval: ``97.2% [93.9% to 98.8%]``."""
    value, between = quantity(what.value, what.unit), interval(what)
    return f"{value} [{between}]" if between else value


def interval(what: Measure) -> str:
    """The 95% interval of `what`: ``99.71% to 99.99%``; empty when it has none."""
    low, high = (None if end is None else quantity(end, what.unit) for end in (what.low, what.high))
    if low is None:
        return "" if high is None else f"{high} or less"
    return f"{low} or more" if high is None else f"{low} to {high}"


def seconds(ns: int | None) -> str:
    """Run time in seconds to a tenth: ``12.3 s``."""
    return "?" if ns is None else f"{ns / 1e9:,.1f} s"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 finding``, ``2 findings``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text

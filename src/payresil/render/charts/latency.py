"""Chart of latency: p50, p95 and p99 of intents, from due to the final answer."""

from __future__ import annotations

from collections.abc import Sequence

from payresil.render.charts.axes import heights, spanning, stretch, told
from payresil.render.charts.chart import Chart, Key
from payresil.render.charts.series import Series
from payresil.render.charts.stage import RIGHT, Stage
from payresil.render.charts.svg import element, line, words
from payresil.render.numbers import number

#: Below this many milliseconds a latency is drawn as this: an axis by logarithm has no zero.
_LEAST_MS = 0.1

_APART = 13  # pixels between two names


def latency(data: Series, where: Stage) -> Chart | None:
    """Percentiles of each stretch; None when no intent was ever answered."""
    known = [v for values in data.latency_ms.values() for v in values if v is not None]
    if not known:
        return None
    highest = max(*known, _LEAST_MS)
    axis = spanning(max(min(known), _LEAST_MS), highest, where, unit="ms")
    return Chart(
        name="latency",
        title=f"Latency of intents, {'logarithmic' if axis.scale.log else 'linear'} axis",
        description="From when the first attempt was due to the final answer; the highest p99 "
        f"is {number(highest)} ms, in {stretch(data)}.",
        stage=where,
        axis=axis,
        marks=_lines({n: heights(v, axis.scale) for n, v in data.latency_ms.items()}, data, where),
        legend=[Key(name, name) for name in data.latency_ms],
        values=told(data, lambda i: f"{_quantiles(data, i)} of {data.answered[i]:,} answered"),
    )


def _lines(pixels: dict[str, list[float | None]], data: Series, where: Stage) -> list[str]:
    """A line for each percentile, then their names at the right ends."""
    middles = [where.x(edge + data.width_s / 2) for edge in data.edges_s[:-1]]
    drawn, ends = [], []
    for name, ys in pixels.items():
        points = [None if y is None else (x, y) for x, y in zip(middles, ys, strict=True)]
        drawn.append(element("path", class_=f"mark {name}", d=line(points)))
        ends.append((name, next(y for y in reversed(ys) if y is not None)))
    return [*drawn, *_names(ends)]


def _names(ends: Sequence[tuple[str, float]]) -> list[str]:
    """Names moved apart where they would touch, lowest line first."""
    drawn = []
    below = float("inf")
    for name, y in sorted(ends, key=lambda end: -end[1]):
        below = min(y, below - _APART)
        drawn.append(element("text", words(name), class_="end", x=RIGHT + 8, y=below + 4))
    return drawn


def _quantiles(data: Series, i: int) -> str:
    known = {name: values[i] for name, values in data.latency_ms.items()}
    told_ = [f"{name} {number(value)} ms" for name, value in known.items() if value is not None]
    return ", ".join(told_) or "no final answer"

"""Chart of the load: attempts per second by outcome, and the intents that they were for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from payresil.render.charts.axes import linear, told
from payresil.render.charts.chart import Chart, Key
from payresil.render.charts.scale import Scale
from payresil.render.charts.series import OUTCOMES, Series
from payresil.render.charts.stage import Stage
from payresil.render.charts.svg import element, step_area, step_line
from payresil.render.numbers import number, plural


def rate(data: Series, where: Stage) -> Chart:
    """Attempts per second, stacked by outcome, with intents due per second over them."""
    layers = {
        outcome: [count / data.width_s for count in data.attempts[outcome]] for outcome in OUTCOMES
    }
    intents = [count / data.width_s for count in data.intents]
    highest = max(sum(at) for at in zip(*layers.values(), strict=True))
    axis = linear(max(highest, *intents), where)
    edges = [where.x(edge) for edge in data.edges_s]
    due = step_line(edges, [axis.scale(value) for value in intents])
    return Chart(
        name="rate",
        title="Attempts and intents per second",
        description=_description(data, highest),
        stage=where,
        axis=axis,
        marks=[
            *_stacked("rate", edges, layers, axis.scale),
            element("path", class_="mark intents", d=due),
        ],
        legend=[
            *(Key(f"attempts {outcome}", outcome, area=True) for outcome in OUTCOMES),
            Key("intents due", "intents"),
        ],
        values=told(data, lambda i: _at(data, i)),
    )


def _stacked(
    chart: str, edges: Sequence[float], layers: Mapping[str, Sequence[float]], scale: Scale
) -> list[str]:
    """One area per outcome, each on top of those before it; outcomes that never came are left."""
    floor = [0.0] * (len(edges) - 1)
    levels = list(accumulate(layers.values(), _added, initial=floor))
    return [
        element(
            "path",
            class_=f"area {name}",
            fill=f"url(#{chart}-{name})",
            d=step_area(edges, list(map(scale, lower)), list(map(scale, upper))),
        )
        for name, (lower, upper) in zip(layers, pairwise(levels), strict=True)
        if any(layers[name])
    ]


def _added(lower: Sequence[float], layer: Sequence[float]) -> list[float]:
    return [a + b for a, b in zip(lower, layer, strict=True)]


def _at(data: Series, i: int) -> str:
    attempts = ", ".join(f"{data.attempts[outcome][i]:,} {outcome}" for outcome in OUTCOMES)
    return f"attempts {attempts}; {plural(data.intents[i], 'intent')} due"


def _description(data: Series, highest: float) -> str:
    by_outcome = ", ".join(f"{sum(data.attempts[outcome]):,} {outcome}" for outcome in OUTCOMES)
    return (
        f"{plural(sum(map(sum, data.attempts.values())), 'attempt')} for "
        f"{plural(sum(data.intents), 'intent')}: {by_outcome}; at most {number(highest)} "
        "attempts per second."
    )

"""Chart of errors: the share of intents, and of attempts, that did not end ok."""

from __future__ import annotations

from collections.abc import Sequence

from payresil.render.charts.axes import heights, linear, stretch, told
from payresil.render.charts.chart import Chart, Key
from payresil.render.charts.series import Series
from payresil.render.charts.stage import Stage
from payresil.render.charts.svg import element, step_line
from payresil.render.numbers import percent


def errors(data: Series, where: Stage) -> Chart:
    """Shares in per cent of what was due in each stretch; a gap where nothing was."""
    attempts = [data.attempts_at(i) for i in range(data.length)]
    not_ok = [whole - ok for whole, ok in zip(attempts, data.attempts["ok"], strict=True)]
    by_intent = _shares(data.intents_not_ok, data.intents)
    by_attempt = _shares(not_ok, attempts)
    highest = max((share for share in (*by_intent, *by_attempt) if share is not None), default=0.0)
    axis = linear(max(highest, 1.0), where, unit="%", most=100.0)
    edges = [where.x(edge) for edge in data.edges_s]
    lines = {"attempts-not-ok": by_attempt, "intents-not-ok": by_intent}
    return Chart(
        name="errors",
        title="Share that did not end ok",
        description=f"{_overall(data.intents_not_ok, data.intents)} of intents and "
        f"{_overall(not_ok, attempts)} of attempts did not end ok; at worst "
        f"{percent(highest)} in {stretch(data)}.",
        stage=where,
        axis=axis,
        marks=[
            element("path", class_=f"mark {mark}", d=step_line(edges, heights(shares, axis.scale)))
            for mark, shares in lines.items()
        ],
        legend=[
            Key("intents not ok", "intents-not-ok"),
            Key("attempts not ok", "attempts-not-ok"),
        ],
        values=told(
            data,
            lambda i: (
                f"{data.intents_not_ok[i]:,} of {data.intents[i]:,} intents and "
                f"{not_ok[i]:,} of {attempts[i]:,} attempts not ok"
            ),
        ),
    )


def _shares(part: Sequence[int], whole: Sequence[int]) -> list[float | None]:
    return [100 * p / w if w else None for p, w in zip(part, whole, strict=True)]


def _overall(part: Sequence[int], whole: Sequence[int]) -> str:
    return percent(100 * sum(part) / sum(whole)) if sum(whole) else "none"

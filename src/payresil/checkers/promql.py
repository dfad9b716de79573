"""Whether a query of the operators' own, in PromQL, stays within a bound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from payresil.checkers.watched import Asked, asked
from payresil.core.registry import checkers
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

Phase = Literal[
    "warm-up", "steady", "faulted", "recovering", "drain", "settle", "reconcile", "audit"
]

#: So many moments without a value are let pass, or this share of them.
_MISSED = 2
_MISSED_SHARE = 0.1

#: Without a phase it is all of the traffic that is judged.
_SPANS = "select start_ns, end_ns from phase_spans where phase = ? order by start_ns"
_TRAFFIC = "select 0, end_ns from phases where phase = 'drain' and end_ns is not null"

_POINTS = """
with spans as (select unnest($starts::bigint[]) as start_ns, unnest($ends::bigint[]) as end_ns),
points as (
  select start_ns, labels, at_ns, value from series join spans
    on at_ns >= start_ns and at_ns < end_ns
  where query = $query and not isnan(value)
)
"""

_COUNTS = f"""
{_POINTS}
select count(*), count(distinct at_ns), min(value), max(value) from points
"""

#: Stretches of one series that lie beyond the bound at every moment.
_BEYOND = f"""
{_POINTS}, beyond as (
  select *, (at_ns - $from) // $step
            - row_number() over (partition by start_ns, labels order by at_ns) as stretch
  from points where {{beyond}}
)
select labels, min(at_ns), max(at_ns), {{worst}}(value) from beyond
group by start_ns, labels, stretch
having max(at_ns) - min(at_ns) + $step > $grace
order by min(at_ns), labels
"""


@dataclass(frozen=True, slots=True)
class _Bound:
    """One side that values must stay on."""

    words: str  # at most, at least
    value: float
    beyond: str  # SQL
    worst: str  # SQL aggregate

    def __str__(self) -> str:
        return f"{self.words} {_short(self.value)}"


def promql(
    run: Run,
    query: str,
    at_most: float | None = None,
    at_least: float | None = None,
    phase: Phase | None = None,
    grace: Duration = Duration(0.0),  # noqa: B008 - a value, never changed
) -> Iterator[Result]:
    """What operators ask of Prometheus stays within its bound.

    The query is in PromQL, evaluated for every second of the run, and decides the unit of the
    bounds. Every series that it gives is held against them in every stretch of `phase`, or from the
    start of the steady phase until customers stop coming. Beyond a bound for no longer than `grace`
    is let pass. Where the query gave no value at too many moments it is undecided: one that gives
    nothing when all is well needs an ``or vector(0)``.
    """
    found = asked(run, "query", query)
    if isinstance(found, Doubt):
        yield found
        return
    bounds = _bounds(at_most, at_least)
    if not bounds:
        yield Doubt("no objective is set: give at_most or at_least a number")
    spans = _spans(run, phase, found)
    where = phase or "traffic"
    if not spans:
        yield Doubt(f"the run records no phase {where}, or Prometheus was not asked for it")
        return
    given = _given(query, spans)
    points, moments, lowest, highest = run.sql.execute(_COUNTS, given).fetchall()[0]
    expected = sum(found.moments(*span) for span in spans)
    yield Measure("points_judged", points)
    yield Measure("moments_judged", moments)
    yield Measure("lowest", _finite(lowest), objective=_objective(bounds, "at least"))
    yield Measure("highest", _finite(highest), objective=_objective(bounds, "at most"))
    for bound in bounds:
        yield from _beyond(run, bound, where, given, found, grace)
    if expected - moments > max(_MISSED, expected * _MISSED_SHARE) or not moments:
        yield Doubt(
            f"{where}: the query gave a value at {moments:,} of {expected:,} moments; where "
            "nothing means zero, add `or vector(0)` to it"
        )
    longest_ns = max(end_ns - start_ns for start_ns, end_ns in spans)
    if grace and longest_ns <= grace.ns:
        yield Doubt(
            f"{where} lasted {longest_ns / 1e9:.3f} s at most, and {grace} of grace let all pass"
        )


def _bounds(at_most: float | None, at_least: float | None) -> list[_Bound]:
    bounds = []
    if at_most is not None:
        bounds.append(_Bound("at most", at_most, "value > $bound", "max"))
    if at_least is not None:
        bounds.append(_Bound("at least", at_least, "value < $bound", "min"))
    return bounds


def _objective(bounds: list[_Bound], words: str) -> str | None:
    return next((str(bound) for bound in bounds if bound.words == words), None)


def _spans(run: Run, phase: Phase | None, found: Asked) -> list[tuple[int, int]]:
    """The stretches to judge, as far as Prometheus was asked for them."""
    rows = run.rows(_TRAFFIC) if phase is None else run.rows(_SPANS, [phase])
    # The end of a stretch is no part of it, the last moment that was asked for is.
    whole = [(start, found.to_ns + 1 if end is None else end) for start, end in rows]
    return [(start, end) for start, end in whole if found.moments(start, end)]


def _given(query: str, spans: list[tuple[int, int]]) -> dict[str, Any]:
    starts, ends = zip(*spans, strict=True)
    return {"query": query, "starts": list(starts), "ends": list(ends)}


def _beyond(
    run: Run, bound: _Bound, where: str, given: dict[str, Any], found: Asked, grace: Duration
) -> Iterator[Finding]:
    sql = _BEYOND.format(beyond=bound.beyond, worst=bound.worst)
    more = {
        "bound": bound.value, "from": found.from_ns, "step": found.step_ns, "grace": grace.ns
    }  # fmt: skip
    for labels, first_ns, last_ns, worst in run.sql.execute(sql, given | more).fetchall():
        when = f"at {first_ns / 1e9:.3f} s"
        if last_ns > first_ns:
            when = f"from {first_ns / 1e9:.3f} s to {last_ns / 1e9:.3f} s"
        which = f" {{{labels}}}" if labels else ""
        yield Finding(
            f"{where}: {given['query']}{which} was {_short(worst)} {when}; the objective is {bound}"
        )


def _short(value: float) -> str:
    return f"{value:.6g}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# Not by `@checker`: which of its parameters are for Prometheus is no table.
checkers.add("promql", promql, kind="objective", needs=("events",), queries=("query",))

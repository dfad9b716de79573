"""How long customers waited for their answer, from when they wanted to pay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from payresil.core.intervals import nearest_rank, rank_interval
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

#: A load generator that sends later than this does not offer the load it was told to. Pacing on
#: an idle machine is late by 0.2 ms at p99, beside eight busy processes on two cores by 3 to 8 ms.
LATENESS = Duration(0.025)
#: … or than this part of the tightest objective, which such lateness does not decide.
_LATENESS_PART = 0.1

_DUE = """
from intents where source = 'load' and exists (
  select 1 from phase_spans where phase = ? and due_ns >= start_ns
    and (end_ns is null or due_ns < end_ns))
"""
_COUNTS = f"select count(*), count(ok_ns) {_DUE}"
#: The values of some ranks, counted from 1. Who never got an answer waited longer than all who did.
_RANKED = """
select rank, ns from (
  select ns, row_number() over (order by ns nulls last) as rank
  from (select {value} as ns {due})
) where rank in (select unnest(?::bigint[])) and ns is not null
"""


@checker(kind="objective", needs=["attempts", "events"])
def latency(
    run: Run,
    p50: Duration | None = None,
    p95: Duration | None = None,
    p99: Duration | None = None,
    phase: Literal["steady", "faulted", "recovering"] = "steady",
) -> Iterator[Result]:
    """Customers get their final answer in time, counted from when they wanted to pay.

    Latency runs from due to the final answer, so that waiting behind others is not hidden; who
    never got one waited longer than everybody else. Percentiles are exact (nearest rank), each
    with the 95 % interval that order statistics give whatever the distribution; an objective is
    undecided when it lies inside. `lateness` is how late the generator sent first attempts: when
    it is large the generator, not the system, was the bottleneck.
    """
    objectives = {0.5: p50, 0.95: p95, 0.99: p99}
    bounds = [bound for bound in objectives.values() if bound is not None]
    if not bounds:
        yield Doubt("no objective is set: give p50, p95 or p99 a duration")
    ((due, answered),) = run.rows(_COUNTS, [phase])
    yield Measure("intents_judged", due)
    if due == 0:
        yield Doubt(f"no payment was due in the phase {phase}")
        return
    yield Measure("unanswered", due - answered)
    for quantile, bound in objectives.items():
        yield from _percentile(run, phase, due, quantile, bound)
    yield from _lateness(run, phase, due, bounds)


def _percentile(
    run: Run, phase: str, n: int, quantile: float, bound: Duration | None
) -> Iterator[Result]:
    low_rank, high_rank = rank_interval(quantile, n)
    rank = nearest_rank(quantile, n)
    wanted = [rank for rank in (rank, low_rank, high_rank) if rank is not None]
    values = _values(run, phase, "ok_ns - due_ns", wanted)
    value = values.get(rank)
    low = None if low_rank is None else values.get(low_rank)
    high = None if high_rank is None else values.get(high_rank)
    name = f"p{quantile * 100:g}"
    yield Measure(
        name, _ms(value), "ms", _ms(low), _ms(high), None if bound is None else f"at most {bound}"
    )
    if bound is None:
        return
    # Below the lowest rank that exists lies 0; a rank without a value was never answered.
    over = low_rank is not None and (low is None or low > bound.ns)
    within = high is not None and high <= bound.ns
    if over:
        yield Finding(f"{name} in phase {phase} is {_said(value)}; the objective is {bound}")
    elif not within:
        yield Doubt(
            f"{name} of {n:,} payments in phase {phase} is {_said(value)}, and its 95 % interval, "
            f"{_said(low) if low_rank else '0 ms'} to {_said(high) if high_rank else 'unbounded'}, "
            f"does not decide on {bound}"
        )


def _lateness(run: Run, phase: str, n: int, bounds: list[Duration]) -> Iterator[Result]:
    ranks = {"lateness_p50": nearest_rank(0.5, n), "lateness_p99": nearest_rank(0.99, n)}
    values = _values(run, phase, "sent_ns - due_ns", [*ranks.values(), n])
    for name, rank in {**ranks, "lateness_max": n}.items():
        yield Measure(name, _ms(values.get(rank)), "ms")
    late_ns = values.get(ranks["lateness_p99"])
    bound_ns = max(LATENESS.ns, round(_LATENESS_PART * min(bounds, default=LATENESS).ns))
    if late_ns is None or late_ns > bound_ns:
        yield Doubt(
            f"the load generator was the bottleneck: it sent 1 % of the first attempts "
            f"{_said(late_ns)} late or more, where {bound_ns / 1e6:g} ms is tolerable"
        )


def _values(run: Run, phase: str, value: str, ranks: list[int]) -> dict[int, int]:
    return dict(run.rows(_RANKED.format(value=value, due=_DUE), [phase, ranks]))


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _said(ns: int | None) -> str:
    return "no answer at all" if ns is None else f"{ns / 1e6:,.1f} ms"

"""How long customers waited for their answer, from when they wanted to pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from payresil.checkers.lateness import (
    LATE,
    UNDECIDED,
    WAITED,
    Lateness,
    as_lateness,
    due_in,
    lateness_ranks,
    milliseconds,
    ranked,
    said,
)
from payresil.core.intervals import nearest_rank, rank_interval
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration


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
    counts = f"select count(*), count(ok_ns) from intents where {due_in(run, phase)}"
    ((due, answered),) = run.rows(counts)
    yield Measure("intents_judged", due)
    if due == 0:
        yield Doubt(f"no payment was due in the phase {phase}")
        return
    yield Measure("unanswered", due - answered)
    ranks = [rank for quantile in objectives for rank in _ranks(quantile, due) if rank is not None]
    values = ranked(run, phase, {WAITED: ranks, LATE: lateness_ranks(due)})
    late = as_lateness(values[LATE], due, bounds)
    for quantile, bound in objectives.items():
        yield from _percentile(values[WAITED], phase, due, quantile, bound, late)
    yield from late.measures()
    if late.is_bottleneck:
        yield late.doubt()


def _ranks(quantile: float, n: int) -> tuple[int, int | None, int | None]:
    """The rank of a percentile of `n` payments, and those that bound it."""
    return nearest_rank(quantile, n), *rank_interval(quantile, n)


def _percentile(
    values: Mapping[int, int],
    phase: str,
    n: int,
    quantile: float,
    bound: Duration | None,
    late: Lateness,
) -> Iterator[Result]:
    rank, low_rank, high_rank = _ranks(quantile, n)
    value = values.get(rank)
    low = None if low_rank is None else values.get(low_rank)
    high = None if high_rank is None else values.get(high_rank)
    name = f"p{quantile * 100:g}"
    yield Measure(
        name,
        milliseconds(value),
        "ms",
        milliseconds(low),
        milliseconds(high),
        None if bound is None else f"at most {bound}",
    )
    if bound is None:
        return
    # Below the lowest rank that exists lies 0; a rank without a value was never answered.
    over = low_rank is not None and (low is None or low > bound.ns)
    within = high is not None and high <= bound.ns
    if over:
        missed = f"{name} in phase {phase} is {said(value)}; the objective is {bound}"
        yield Doubt(f"{missed}; {UNDECIDED}") if late.is_bottleneck else Finding(missed)
    elif not within:
        yield Doubt(
            f"{name} of {n:,} payments in phase {phase} is {said(value)}, and its 95 % interval, "
            f"{said(low) if low_rank else '0 ms'} to {said(high) if high_rank else 'unbounded'}, "
            f"does not decide on {bound}"
        )

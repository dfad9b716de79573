"""The share of customers who were let pay, of those who got an answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from payresil.checkers.shares import too_few, weigh
from payresil.core.intervals import wilson
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Share

#: Final answers, and those that are no decline, by the phase in which the payment was due.
_COUNTS = """
select phase, count(*), count(*) filter (answer in ('succeeded', 'authorized'))
from intents join phase_spans on due_ns >= start_ns and (end_ns is null or due_ns < end_ns)
where source = 'load' and outcome = 'ok' group by phase
"""

_BROKEN = """
select phase from phase_spans where phase in ('faulted', 'recovering')
group by phase order by min(start_ns)
"""


@dataclass(frozen=True, slots=True)
class _Approved:
    """So many of the answers of a phase were no decline."""

    phase: str
    answers: int
    approved: int

    @property
    def share(self) -> float:
        return self.approved / self.answers

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.approved, self.answers)

    def __str__(self) -> str:
        return f"{self.approved:,} of {self.answers:,} answers approved, {self.share:.3%}"


@checker(kind="objective", needs=["attempts", "events"])
def approval_rate(
    run: Run,
    steady: Share | None = None,
    faulted: Share | None = None,
    recovering: Share | None = None,
    drop: Share | None = None,
) -> Iterator[Result]:
    """Customers are not turned away because something is broken: of the payments due in a phase
    that got a final answer, the share that was approved.

    A decline is an answer, so availability does not see a service that declines whatever it cannot
    do. `drop` bounds by how much of all answers fewer are approved while the system is faulted or
    recovering than while it is steady. Judged by the 95 % intervals (Wilson; Newcombe for the
    difference), as availability is. Prober and warm-up are left out.
    """
    objectives = {"steady": steady, "faulted": faulted, "recovering": recovering}
    if drop is None and not any(objective is not None for objective in objectives.values()):
        yield Doubt("no objective is set: give steady, faulted, recovering or drop a share")
    counts = {phase: (answers, approved) for phase, answers, approved in run.rows(_COUNTS)}
    phases = {phase: _Approved(phase, *counts.get(phase, (0, 0))) for phase in objectives}
    for phase, objective in objectives.items():
        yield from _phase(phases[phase], objective)
    if drop is not None:
        broken = [phases[phase] for (phase,) in run.rows(_BROKEN)]
        yield from _drops(phases["steady"], broken, drop)


def _phase(found: _Approved, objective: Share | None) -> Iterator[Result]:
    yield Measure(f"{found.phase}_answers_judged", found.answers)
    if found.answers == 0:
        if objective is not None:
            yield Doubt(f"no payment that was due while the system was {found.phase} was answered")
        return
    bound = None if objective is None else f"at least {objective}"
    name = f"{found.phase}_approval_rate"
    yield Measure(name, found.share, "share", *found.interval, bound)
    if objective is not None:
        yield from _judge(found, objective)


def _judge(found: _Approved, objective: Share) -> Iterator[Result]:
    said = f"{found.phase}: {found}"
    weighed = weigh(found.approved, found.answers, objective)
    if weighed == "undecided":
        things = "answers even when all are approved"
        yield too_few(said, found.approved, found.answers, objective, things)
    elif weighed == "missed":
        yield Finding(f"{said}; the objective is {objective}")


def _drops(steady: _Approved, broken: list[_Approved], drop: Share) -> Iterator[Result]:
    if not steady.answers:
        yield Doubt("no payment was answered while the system was steady: no drop can be seen")
        return
    if not broken:
        yield Doubt("the system was never faulted: no drop can be seen")
    for found in broken:
        if not found.answers:
            yield Doubt(
                f"no payment that was due while the system was {found.phase} was answered: no drop "
                "can be seen"
            )
            continue
        low, high = _difference(steady, found)
        fell = steady.share - found.share
        name = f"{found.phase}_approval_drop"
        yield Measure(name, fell, "share", low, high, f"at most {drop}")
        said = f"{found.phase}: {found}; steady: {steady}"
        if low > drop:
            yield Finding(f"{said}; the rate may drop by {drop}")
        elif high > drop:
            yield Doubt(
                f"{said}: too few to decide on a drop of {drop} "
                f"(95 % interval {low:.2%} to {high:.2%})"
            )


def _difference(one: _Approved, other: _Approved) -> tuple[float, float]:
    """Newcombe's 95 % interval of the difference of two shares, from their Wilson intervals."""
    one_low, one_high = one.interval
    other_low, other_high = other.interval
    difference = one.share - other.share
    return (
        difference - math.hypot(one.share - one_low, other_high - other.share),
        difference + math.hypot(one_high - one.share, other.share - other_low),
    )

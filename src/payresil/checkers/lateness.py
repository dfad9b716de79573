"""How late the load generator sent: whether it, not the system, was the bottleneck."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from payresil.core.intervals import nearest_rank
from payresil.core.results import Doubt, Measure
from payresil.core.run import Run
from payresil.core.values import Duration

#: A load generator that sends later than this does not offer the load it was told to. Pacing on
#: an idle machine is late by 0.2 ms at p99, beside eight busy processes on two cores by 3 to 8 ms.
LATENESS = Duration(0.025)
#: … or than this part of the tightest objective, which such lateness does not decide.
_LATENESS_PART = 0.1

#: What is added to an objective that was missed while the generator was the bottleneck.
UNDECIDED = "undecided, since the load generator was the bottleneck"

#: Payments of the load that were due in a phase, given as the only parameter.
DUE = """
from intents where source = 'load' and exists (
  select 1 from phase_spans where phase = ? and due_ns >= start_ns
    and (end_ns is null or due_ns < end_ns))
"""
#: The values of some ranks, counted from 1. Those without a value rank behind all that have one.
_RANKED = """
select rank, ns from (
  select ns, row_number() over (order by ns nulls last) as rank
  from (select {value} as ns {due})
) where rank in (select unnest(?::bigint[])) and ns is not null
"""


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late first attempts were sent, in nanoseconds; None: never sent."""

    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    tolerable_ns: int

    @property
    def is_bottleneck(self) -> bool:
        """Whether the generator did not offer the load that it was told to."""
        return self.p99_ns is None or self.p99_ns > self.tolerable_ns

    def measures(self) -> Iterator[Measure]:
        """The three, in milliseconds."""
        for name, ns in (("p50", self.p50_ns), ("p99", self.p99_ns), ("max", self.max_ns)):
            yield Measure(f"lateness_{name}", milliseconds(ns), "ms")

    def doubt(self) -> Doubt:
        """That the generator was the bottleneck."""
        return Doubt(
            f"the load generator was the bottleneck: it sent 1 % of the first attempts "
            f"{said(self.p99_ns)} late or more, where {self.tolerable_ns / 1e6:g} ms is tolerable"
        )


def lateness(run: Run, phase: str, due: int, bounds: Sequence[Duration] = ()) -> Lateness:
    """The lateness of the `due` payments of a phase, of which there is at least one.

    `bounds`: objectives of latency; a tenth of the tightest is tolerable, and 25 ms always.
    """
    p50, p99 = nearest_rank(0.5, due), nearest_rank(0.99, due)
    values = ranked(run, phase, "sent_ns - due_ns", [p50, p99, due])
    tightest = min(bounds, default=LATENESS)
    return Lateness(
        values.get(p50),
        values.get(p99),
        values.get(due),
        tolerable_ns=max(LATENESS.ns, round(_LATENESS_PART * tightest.ns)),
    )


def ranked(run: Run, phase: str, value: str, ranks: Sequence[int]) -> dict[int, int]:
    """The values (ns) of these ranks among the payments due in a phase, smallest first."""
    return dict(run.rows(_RANKED.format(value=value, due=DUE), [phase, list(ranks)]))


def milliseconds(ns: int | None) -> float | None:
    """The same in milliseconds."""
    return None if ns is None else ns / 1e6


def said(ns: int | None) -> str:
    """A waiting time in words."""
    return "no answer at all" if ns is None else f"{ns / 1e6:,.1f} ms"

"""How late the load generator sent: whether it, not the system, was the bottleneck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

#: How long a customer waited for the final answer, and how late the first attempt was sent.
WAITED = "ok_ns - due_ns"
LATE = "sent_ns - due_ns"


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


def due_in(run: Run, phase: str) -> str:
    """The condition, in SQL, that an intent is a payment of the load that was due in a phase.

    It names the times, so that whole stretches of the table need not be read.
    """
    spans = run.rows("select start_ns, end_ns from phase_spans where phase = ?", [phase])
    within = " or ".join(
        f"due_ns >= {start}" + ("" if end is None else f" and due_ns < {end}")
        for start, end in spans
        if start is not None
    )
    return f"source = 'load' and ({within or 'false'})"


def lateness(run: Run, phase: str, due: int, bounds: Sequence[Duration] = ()) -> Lateness:
    """The lateness of the `due` payments of a phase, of which there is at least one.

    `bounds`: objectives of latency; a tenth of the tightest is tolerable, and 25 ms always.
    """
    return as_lateness(ranked(run, phase, {LATE: lateness_ranks(due)})[LATE], due, bounds)


def lateness_ranks(due: int) -> tuple[int, int, int]:
    """The ranks of the values that lateness is told by."""
    return nearest_rank(0.5, due), nearest_rank(0.99, due), due


def as_lateness(values: Mapping[int, int], due: int, bounds: Sequence[Duration]) -> Lateness:
    """The lateness that is told by these values of `lateness_ranks`."""
    tightest = min(bounds, default=LATENESS)
    tolerable_ns = max(LATENESS.ns, round(_LATENESS_PART * tightest.ns))
    p50, p99, most = (values.get(rank) for rank in lateness_ranks(due))
    return Lateness(p50, p99, most, tolerable_ns)


def ranked(run: Run, phase: str, wanted: Mapping[str, Sequence[int]]) -> dict[str, dict[int, int]]:
    """The values (ns) of these ranks, counted from 1, of the payments due in a phase.

    Those without a value rank behind all that have one, and are left out.
    """
    due = due_in(run, phase)
    (counts,) = run.rows(
        f"select {', '.join(f'count({v})' for v in wanted)} from intents where {due}"
    )
    there = {
        value: sorted({rank for rank in ranks if rank <= n})
        for (value, ranks), n in zip(wanted.items(), counts, strict=True)
    }
    columns = [_quantiles(value, n, there[value]) for value, n in zip(wanted, counts, strict=True)]
    (found,) = run.rows(f"select {', '.join(columns)} from intents where {due}")
    return {
        value: dict(zip(there[value], values, strict=True))
        for value, values in zip(wanted, found, strict=True)
    }


def _quantiles(value: str, n: int, ranks: Sequence[int]) -> str:
    """The values of these ranks, of `n`: without sorting, and all at once.

    DuckDB's discrete quantile q is the value of rank ceil(q n).
    """
    if not ranks:
        return "[]"
    return f"quantile_disc({value}, {[(rank - 0.5) / n for rank in ranks]})"


def milliseconds(ns: int | None) -> float | None:
    """The same in milliseconds."""
    return None if ns is None else ns / 1e6


def said(ns: int | None) -> str:
    """A waiting time in words."""
    return "no answer at all" if ns is None else f"{ns / 1e6:,.1f} ms"

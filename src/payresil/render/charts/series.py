"""The time series of a run's load, by SQL: what was due in each stretch, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from payresil.core.run import Run
from payresil.render.charts.scale import bin_width

OUTCOMES = ("ok", "unknown", "fail")

_SPAN = """
select min(due_ns), max(due_ns) from attempts where source = 'load' and due_ns is not null
"""

_ATTEMPTS = """
select cast(floor(due_ns / ?::double) as bigint) as bin, outcome, count(*)
from attempts where source = 'load' and due_ns is not null group by all
"""

#: Percentiles are taken from every intent of a stretch, never averaged from shorter ones.
_INTENTS = """
select cast(floor(due_ns / ?::double) as bigint) as bin, count(*),
       count(*) filter (outcome <> 'ok'), count(ok_ns),
       quantile_cont((ok_ns - due_ns) / 1e6, [0.5, 0.95, 0.99])
from intents where source = 'load' and due_ns is not null group by all
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One value per stretch of `width_s` seconds, the first of which begins at `start_s`.

    Everything stands where it was due. Latencies are milliseconds from due to the first final
    answer, None where there was none.
    """

    start_s: float
    width_s: int
    attempts: Mapping[str, list[int]]  # outcome → attempts
    intents: list[int]
    intents_not_ok: list[int]
    answered: list[int]  # intents that got a final answer: the sample of the latencies
    latency_ms: Mapping[str, list[float | None]]  # p50, p95, p99

    @property
    def length(self) -> int:
        """How many stretches there are."""
        return len(self.intents)

    @property
    def edges_s(self) -> list[float]:
        """Where the stretches begin, and where the last one ends."""
        return [self.start_s + i * self.width_s for i in range(self.length + 1)]

    def attempts_at(self, i: int) -> int:
        """Attempts of every outcome in stretch `i`."""
        return sum(counts[i] for counts in self.attempts.values())


def series(run: Run) -> Series | None:
    """The series of `run`, at most about 360 stretches; None when no load was recorded."""
    ((first_ns, last_ns),) = run.rows(_SPAN)
    if first_ns is None:
        return None
    width_s = bin_width((last_ns - first_ns) / 1e9)
    width_ns = width_s * 1_000_000_000
    first, last = first_ns // width_ns, last_ns // width_ns
    length = last - first + 1
    attempts = {outcome: [0] * length for outcome in OUTCOMES}
    for number, outcome, count in run.rows(_ATTEMPTS, [width_ns]):
        attempts[outcome if outcome in attempts else "unknown"][number - first] += count
    rows = {row[0] - first: row[1:] for row in run.rows(_INTENTS, [width_ns])}
    return Series(
        start_s=float(first * width_s),
        width_s=width_s,
        attempts=attempts,
        **_by_intent([rows.get(i, (0, 0, 0, None)) for i in range(length)]),
    )


def _by_intent(rows: list[tuple[int, int, int, list[float] | None]]) -> dict[str, Any]:
    quantiles: list[Sequence[float | None]] = [row[3] or (None, None, None) for row in rows]
    return {
        "intents": [row[0] for row in rows],
        "intents_not_ok": [row[1] for row in rows],
        "answered": [row[2] for row in rows],
        "latency_ms": {
            name: [quantile[i] for quantile in quantiles]
            for i, name in enumerate(("p50", "p95", "p99"))
        },
    }

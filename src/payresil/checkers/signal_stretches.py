"""Stretches between two readings of an instance over which its counters can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from payresil.checkers.signal_readings import Reading
from payresil.core.run import Run

#: When an instance began or ended: what it counted before is gone.
_RESTARTS = """
select name, at_ns from events
where kind = 'node' and what in ('started', 'stopped', 'killed', 'exited')
"""

_PHASES = """
select phase, start_ns, end_ns from phase_spans
where phase in ('steady', 'faulted', 'recovering') and end_ns is not null order by start_ns
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Two readings of one instance that was not started anew in between."""

    phase: str | None  # None: the longest there is
    first: Reading
    last: Reading

    def __str__(self) -> str:
        span = f"{self.first.at_ns / 1e9:.3f} s to {self.last.at_ns / 1e9:.3f} s"
        return f"{self.first.node}, {self.phase + ', ' if self.phase else ''}{span}"


def starts_of(run: Run) -> dict[str, list[int]]:
    """When each node began or ended."""
    found: dict[str, list[int]] = {}
    for name, at_ns in run.rows(_RESTARTS):
        found.setdefault(name, []).append(at_ns)
    return found


def is_anew(earlier: Reading, later: Reading, starts: list[int]) -> bool:
    """Whether the instance is known to have been started or ended in between."""
    return any(earlier.at_ns < at_ns <= later.read_ns for at_ns in starts)


def stretches_of(
    run: Run, readings: Mapping[str, list[Reading]], starts: Mapping[str, list[int]]
) -> Iterator[Stretch]:
    """Of each instance the longest stretches without a new start, and what phases hold of them."""
    phases = run.rows(_PHASES)
    for node, found in readings.items():
        if not any(reading.shows_requests for reading in found):
            continue
        for piece in _pieces(found, starts.get(node, [])):
            if len(piece) < 2:
                continue
            yield Stretch(None, piece[0], piece[-1])
            for phase, start_ns, end_ns in phases:
                part = [r for r in piece if start_ns <= r.at_ns and r.read_ns <= end_ns]
                if 2 <= len(part) < len(piece):
                    yield Stretch(phase, part[0], part[-1])


def _pieces(readings: list[Reading], starts: list[int]) -> list[list[Reading]]:
    """Readings between which the instance was not started anew, and no counter fell."""
    pieces: list[list[Reading]] = []
    for reading in readings:
        last = pieces[-1][-1] if pieces else None
        if last is None or is_anew(last, reading, starts) or not reading.follows(last):
            pieces.append([])
        pieces[-1].append(reading)
    return pieces

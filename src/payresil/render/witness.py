"""The timeline of a finding, short enough to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from payresil.core.results import Line
from payresil.render.visible import visible

#: Who may speak in a timeline, in the order of their columns.
PARTIES = ("client", "service", "psp")

#: What the harness says goes across all columns: it is about everybody.
HARNESS = "harness"

#: More lines than these are left out in the middle; `verdict.json` has them all.
LINES = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline, as it is shown."""

    time: str  # run time in seconds, to the millisecond
    after: str  # since the line before
    who: str
    what: str
    fault: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is shown of a witness: its start, how many lines are left out, its end."""

    head: tuple[Entry, ...]
    left_out: int
    tail: tuple[Entry, ...]

    @property
    def parties(self) -> tuple[str, ...]:
        """Who has a column: the known ones in their order, then any other."""
        said = dict.fromkeys(entry.who for entry in (*self.head, *self.tail))
        said.pop(HARNESS, None)
        known = [party for party in PARTIES if party in said]
        return (*known, *(party for party in said if party not in PARTIES))


def timeline(witness: Sequence[Line], limit: int = LINES) -> Timeline:
    """What to show of `witness`: all of it, or its two ends."""
    entries = _entries(witness) if len(witness) <= limit else ()
    if entries or not witness:
        return Timeline(tuple(entries), 0, ())
    start = limit * 2 // 3
    end = limit - start
    return Timeline(
        tuple(_entries(witness[:start])),
        len(witness) - limit,
        tuple(_entries(witness[-end:], before=witness[-end - 1].at_ns)),
    )


def _entries(lines: Sequence[Line], before: int | None = None) -> list[Entry]:
    entries = []
    for line in lines:
        entries.append(
            Entry(
                time="?" if line.at_ns is None else f"{line.at_ns / 1e9:.3f}",
                after=_after(before, line.at_ns),
                who=visible(line.who, 40),
                what=visible(line.what, 300),
                fault=line.fault,
            )
        )
        before = line.at_ns
    return entries


def _after(before: int | None, now: int | None) -> str:
    if before is None or now is None:
        return ""
    return f"+{(now - before) / 1e9:.3f}"

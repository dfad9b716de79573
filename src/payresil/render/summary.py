"""Several verdicts as one table: what a gate of many scenarios came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from payresil.core.results import Outcome, Verdict
from payresil.render import numbers
from payresil.render.headline import claims, findings_total, headline, key_measures
from payresil.render.text import COLUMNS, painter
from payresil.render.visible import visible, width

_HEADS = ("verdict", "scenario", "checks", "findings", "recovery", "exit")


def summary(verdicts: Sequence[Verdict], *, colour: bool = False) -> str:
    """A line for every verdict, and one that counts them; at most 100 columns wide.

    `checks` is how many passed of how many there are; `recovery` the longest recovery_time.
    """
    if not verdicts:
        return "no scenario was run\n"
    paint = painter(colour)
    rows = [_row(verdict) for verdict in verdicts]
    spare = COLUMNS - sum(_widest(rows, column) + 2 for column in range(len(_HEADS)) if column != 1)
    wide = [min(_widest(rows, i), spare - 2 if i == 1 else COLUMNS) for i in range(len(_HEADS))]
    lines = [_line(_HEADS, wide)]
    for verdict, row in zip(verdicts, rows, strict=True):
        word = headline(verdict).word
        lines.append(_line(row, wide).replace(row[0], paint(word, row[0]), 1))
    return "\n".join([*lines, "", _counted(verdicts)]) + "\n"


def _row(verdict: Verdict) -> tuple[str, ...]:
    checks = claims(verdict)
    passed = sum(check.outcome is Outcome.PASS for check in checks)
    word = headline(verdict).word
    return (
        word if word == "pass" else word.upper(),
        visible(verdict.scenario, 200),
        f"{passed} of {len(checks)}",
        f"{findings_total(verdict):,}",
        _recovery(verdict),
        str(verdict.exit_status),
    )


def _recovery(verdict: Verdict) -> str:
    times = [m for m in key_measures(verdict) if m.name == "recovery_time" and m.value is not None]
    longest = max(times, key=lambda m: m.value or 0, default=None)
    return "–" if longest is None else visible(numbers.quantity(longest.value, longest.unit), 20)


def _widest(rows: Sequence[Sequence[str]], column: int) -> int:
    return max(width(row[column]) for row in [_HEADS, *rows])


def _line(row: Sequence[str], wide: Sequence[int]) -> str:
    cells = [_cut(cell, room) for cell, room in zip(row, wide, strict=True)]
    padded = [cell + " " * (room - width(cell)) for cell, room in zip(cells, wide, strict=True)]
    return "  ".join(padded).rstrip()


def _cut(cell: str, room: int) -> str:
    """The start of `cell` that fits, with a sign that there was more."""
    if width(cell) <= room:
        return cell
    while width(cell) > room - 1:
        cell = cell[:-1]
    return f"{cell}…"


def _counted(verdicts: Sequence[Verdict]) -> str:
    words = Counter(headline(verdict).word for verdict in verdicts)
    order = ("fail", "broken", "interrupted", "inconclusive", "pass")
    counts = ", ".join(f"{words[word]} {word}" for word in order if words[word])
    return f"{numbers.plural(len(verdicts), 'scenario')}: {counts}"

"""Several verdicts as one table: what a gate of many scenarios came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from payresil.core.results import Outcome, Verdict
from payresil.render import numbers
from payresil.render.headline import claims, findings_total, headline, key_measures
from payresil.render.text import COLUMNS, painter
from payresil.render.visible import visible, width

#: What the table tells of each scenario.
HEADS = ("verdict", "scenario", "checks", "findings", "recovery", "exit")


def summary(
    verdicts: Sequence[Verdict], *, not_run: Sequence[str] = (), colour: bool = False
) -> str:
    """A line for every verdict, and one that counts them; at most 100 columns wide.

    `checks` is how many passed of how many there are; `recovery` the longest recovery_time;
    `not_run` names the scenarios whose turn did not come.
    """
    if not verdicts and not not_run:
        return "no scenario was run\n"
    paint = painter(colour)
    rows = table_rows(verdicts, not_run)
    words = [*(headline(verdict).word for verdict in verdicts), *("not run" for _ in not_run)]
    spare = COLUMNS - sum(_widest(rows, column) + 2 for column in range(len(HEADS)) if column != 1)
    wide = [min(_widest(rows, i), spare - 2 if i == 1 else COLUMNS) for i in range(len(HEADS))]
    lines = [_line(HEADS, wide)]
    for word, row in zip(words, rows, strict=True):
        lines.append(_line(row, wide).replace(row[0], paint(word, row[0]), 1))
    return "\n".join([*lines, "", counted(verdicts, not_run)]) + "\n"


def table_rows(verdicts: Sequence[Verdict], not_run: Sequence[str]) -> list[tuple[str, ...]]:
    """The cells of the table under `HEADS`."""
    return [*map(_row, verdicts), *map(_row_of_none, not_run)]


def _row_of_none(scenario: str) -> tuple[str, ...]:
    return ("NOT RUN", visible(scenario, 200), "–", "–", "–", "–")


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
    return max(width(row[column]) for row in [HEADS, *rows])


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


def counted(verdicts: Sequence[Verdict], not_run: Sequence[str]) -> str:
    """How many scenarios there are, and how many of each word."""
    words = Counter(headline(verdict).word for verdict in verdicts)
    words["not run"] = len(not_run)
    order = ("fail", "broken", "interrupted", "not run", "inconclusive", "pass")
    counts = ", ".join(f"{words[word]} {word}" for word in order if words[word])
    return f"{numbers.plural(len(verdicts) + len(not_run), 'scenario')}: {counts}"

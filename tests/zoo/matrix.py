"""What the runs of the zoo came to: which checks fired on which flaw, and what that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from payresil.core.results import Outcome, Verdict
from tests.zoo.specimens import Specimen


@dataclass(frozen=True, slots=True)
class Row:
    """One specimen and its verdict; None: there is none, and why is in `broken`."""

    specimen: Specimen
    verdict: Verdict | None
    broken: str = ""
    seconds: float = 0.0

    @property
    def fired(self) -> tuple[str, ...]:
        """Names of the checks with findings."""
        checks = self.verdict.checks if self.verdict else ()
        return tuple(check.name for check in checks if check.findings)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Names of the checks and faults that could not be decided."""
        results = (*self.verdict.checks, *self.verdict.faults) if self.verdict else ()
        return tuple(each.name for each in results if each.outcome is Outcome.INCONCLUSIVE)

    @property
    def result(self) -> str:
        """caught or clean; all else is wrong."""
        if self.verdict is None or self.verdict.broken or self.verdict.interrupted:
            return "BROKEN"
        if self.specimen.flaw is None:
            if self.fired:
                return "FALSE ALARM"
            return "UNDECIDED" if self.undecided else "clean"
        if not self.fired:
            return "MISSED"
        return "caught" if self.specimen.check in self.fired else "WRONG CHECK"

    @property
    def is_right(self) -> bool:
        """Whether the harness saw what there was, and nothing else."""
        return self.result in ("caught", "clean")


def matrix(rows: Sequence[Row]) -> str:
    """A line for each run, a column for each check: ✗ fired, ? undecided, · held."""
    checks = list(dict.fromkeys(
        check.name
        for row in rows if row.verdict
        for check in row.verdict.checks if check.name != "run"
    ))  # fmt: skip
    heads = ["flaw", "scenario", *checks, "result"]
    cells = [heads, *([*_about(row), *(_mark(row, name) for name in checks), row.result]
                      for row in rows)]  # fmt: skip
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(room) for cell, room in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    notes = [note for row in rows if (note := _note(row))]
    right = sum(row.is_right for row in rows)
    legend = "✗ fired  ? undecided  · held  (blank: not in the scenario)"
    return "\n".join([*lines, "", legend, *notes, f"{right} of {len(rows)} as they should be"])


def _about(row: Row) -> tuple[str, str]:
    return row.specimen.name, row.specimen.scenario.rpartition("/")[2]


def _mark(row: Row, name: str) -> str:
    checks = {check.name: check for check in row.verdict.checks} if row.verdict else {}
    if name not in checks:
        return ""
    if checks[name].findings:
        return f"✗ {checks[name].findings_total}"
    return "?" if checks[name].outcome is Outcome.INCONCLUSIVE else "·"


def _note(row: Row) -> str:
    """Why a row is not as it should be."""
    if row.is_right:
        return ""
    about = f"{row.specimen.name} in {row.specimen.scenario}: {row.result}"
    if row.verdict is None:
        return f"{about}: {row.broken}"
    said = [row.verdict.broken] if row.verdict.broken else []
    if row.specimen.check and row.specimen.check not in row.fired:
        said.append(f"{row.specimen.check} should have fired")
    if row.result == "FALSE ALARM":
        said += [
            f"{check.name}: {check.findings[0].message}"
            for check in row.verdict.checks
            if check.findings
        ]
    if row.result in ("UNDECIDED", "MISSED"):
        said += [
            f"{each.name}: {doubt.message}"
            for each in (*row.verdict.checks, *row.verdict.faults)
            for doubt in each.doubts
        ]
    return "; ".join([about, *said])

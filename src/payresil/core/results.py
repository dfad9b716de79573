"""What a checker may say, and what the results add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """pass < inconclusive < fail; the worst one wins."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        """Position in the order from best to worst."""
        return list(Outcome).index(self)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst outcome; of none at all it is inconclusive, since nothing was judged."""
    return max(outcomes, key=lambda outcome: outcome.rank, default=Outcome.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a witness: what one party did or saw, and when."""

    at_ns: int | None
    who: str  # client | service | psp | harness
    what: str
    fault: bool = False  # whether the line is about an injected fault

    def __str__(self) -> str:
        when = "         ?" if self.at_ns is None else f"{self.at_ns / 1e9:10.3f}"
        return f"{when}s  {self.who:<8} {self.what}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation, with the smallest timeline that proves it."""

    message: str
    intent: str | None = None
    witness: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that was measured.

    A name that ends in ``_judged`` counts what the check looked at: a check whose counts
    are all zero, or that gives none, is inconclusive. `low` and `high` are a 95 % interval.
    """

    name: str
    value: float | int | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    objective: str | None = None  # the bound it was held against, as written in the scenario


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the evidence cannot decide."""

    message: str
    traceback: str | None = None


Result = Finding | Measure | Doubt


@dataclass(frozen=True, slots=True)
class CheckResult:
    """All that one check, or the evidence of one fault, came to."""

    name: str
    kind: str  # money | objective | evidence
    claim: str
    outcome: Outcome
    parameters: dict[str, Any] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    findings: tuple[Finding, ...] = ()
    findings_total: int = 0  # `findings` holds the first ones only
    doubts: tuple[Doubt, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one run."""

    run: str
    scenario: str
    claim: str
    outcome: Outcome
    exit_status: int
    checks: tuple[CheckResult, ...]
    faults: tuple[CheckResult, ...]
    warnings: tuple[str, ...] = ()
    broken: str | None = None  # what broke in the environment or the harness
    interrupted: bool = False


class Exit:
    """Exit statuses of the process."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    BROKEN = 4
    INTERRUPTED = 130


def exit_status(outcome: Outcome, *, money_finding: bool, broken: bool, interrupted: bool) -> int:
    """The exit status of a run: a money finding is 1 even if something broke later."""
    if money_finding:
        return Exit.FAIL
    if broken:
        return Exit.BROKEN
    if interrupted:
        return Exit.INTERRUPTED
    return {
        Outcome.PASS: Exit.PASS,
        Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE,
        Outcome.FAIL: Exit.FAIL,
    }[outcome]

"""What the HTML report shows, as values; the templates only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from payresil.core.results import CheckResult, Doubt, Finding, Measure, Outcome, Verdict
from payresil.core.run import Run
from payresil.render import facts, numbers
from payresil.render.headline import (
    by_urgency,
    findings_total,
    headline,
    is_judged,
    judged,
    key_measures,
    total,
    with_findings,
)
from payresil.render.numbers import plural
from payresil.render.principles import PRINCIPLES, Principle, outside, touching
from payresil.render.visible import visible
from payresil.render.windows import fault_windows
from payresil.render.witness import Timeline, timeline
from payresil.render.wording import OUTCOMES, SIGNS, STATUSES, evidence_word

#: Findings shown with their timeline, and shown at all; the rest is counted.
WITH_TIMELINE = 25
LISTED = 100

_DOUBTS = 10


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure of the first screen."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """An outcome as it is shown: its word, its sign, and the class of its colour."""

    word: str
    sign: str
    style: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure."""

    name: str
    value: str
    interval: str  # of 95%
    objective: str


@dataclass(frozen=True, slots=True)
class DoubtText:
    """A doubt, and the last lines of the traceback behind it."""

    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Row:
    """A check, or a fault's evidence, in its table."""

    name: str
    kind: str
    claim: str
    parameters: str
    mark: Mark
    judged: Sequence[str]
    when: str
    figures: Sequence[Figure]
    doubts: Sequence[DoubtText]
    more_doubts: int
    findings: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding; `timeline` is None where there is none, or for one that is only listed."""

    number: int
    check: str
    kind: str
    message: str
    intent: str
    timeline: Timeline | None


@dataclass(frozen=True, slots=True)
class PrincipleRow:
    """A principle and the checks that touched it."""

    principle: Principle
    checks: Sequence[tuple[str, Mark]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the run."""

    label: str
    lines: Sequence[str]


def mark(outcome: Outcome, word: str = "") -> Mark:
    """How `outcome` is shown, under another word where one is given."""
    return Mark(word or outcome.value, SIGNS[outcome.value], outcome.value)


def tiles(run: Run, verdict: Verdict) -> list[Tile]:
    """The figures that people ask for first."""
    count = facts.counts(run)
    bit = sum(fault.outcome is Outcome.PASS for fault in verdict.faults)
    money = sum(total(check) for check in verdict.checks if check.kind == "money")
    found = findings_total(verdict)
    twice = f"{count.tried_twice:,} tried twice" if count.intents else ""
    return [
        *map(_measured, key_measures(verdict)[:4]),
        Tile("findings", f"{found:,}", "", f"{money:,} about money" if found else ""),
        Tile("faults that bit", str(bit), f"of {len(verdict.faults)}"),
        Tile("intents", f"{count.intents:,}", "", _listed(_split(count.intents_by), twice)),
        Tile("attempts", f"{count.attempts:,}", "", _split(count.attempts_by)),
    ]


def _measured(what: Measure) -> Tile:
    value, _, unit = numbers.quantity(what.value, visible(what.unit, 20)).partition(" ")
    objective = f"objective {visible(what.objective, 60)}" if what.objective else ""
    return Tile(
        visible(what.name.replace("_", " "), 60),
        value,
        unit,
        _listed(objective, numbers.interval(what)),
    )


def _split(by_outcome: Mapping[str, int]) -> str:
    order = ("ok", "unknown", "fail")
    return _listed(*(f"{by_outcome[word]:,} {word}" for word in order if by_outcome.get(word)))


def _listed(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def check_rows(verdict: Verdict) -> list[Row]:
    """Every check, the most urgent first."""
    return [_row(check, mark(check.outcome), judged(check)) for check in by_urgency(verdict.checks)]


def fault_rows(run: Run, verdict: Verdict) -> list[Row]:
    """Every fault with the evidence that it bit."""
    when = {window.name: window.text for window in fault_windows(run)}
    return [
        _row(
            fault,
            mark(fault.outcome, evidence_word(fault)),
            judged(fault),
            when.get(fault.name, "never injected" if run.has("events") else "not recorded"),
        )
        for fault in verdict.faults
    ]


def _row(result: CheckResult, shown: Mark, looked_at: Sequence[str], when: str = "") -> Row:
    return Row(
        name=visible(result.name, 80),
        kind=visible(result.kind, 20),
        claim=visible(result.claim),
        parameters=visible(facts.parameters(result.parameters), 300),
        mark=shown,
        judged=looked_at,
        when=when,
        figures=[
            Figure(
                visible(m.name, 60),
                visible(numbers.quantity(m.value, m.unit), 80),
                visible(numbers.interval(m), 120),
                visible(m.objective or "", 120),
            )
            for m in result.measures
            if not is_judged(m)
        ],
        doubts=[_doubt(doubt) for doubt in result.doubts[:_DOUBTS]],
        more_doubts=max(0, len(result.doubts) - _DOUBTS),
        findings=total(result),
    )


def _doubt(doubt: Doubt) -> DoubtText:
    lines = (doubt.traceback or "").strip().splitlines()[-12:]
    return DoubtText(visible(doubt.message), "\n".join(visible(line, 300) for line in lines))


def findings(verdict: Verdict) -> list[Shown]:
    """The findings shown: the first ones of every check in turn, then of the next.

    Each check shows some of its own before any shows all, so that a check with thousands of
    violations does not push another one's out of the report.
    """
    held = [list(group) for _, group in groupby(with_findings(verdict), lambda pair: id(pair[0]))]
    share = max(1, LISTED // max(1, len(held)))
    timelines = max(1, WITH_TIMELINE // max(1, len(held)))
    chosen = [
        _shown(check, finding, i < timelines)
        for group in held
        for i, (check, finding) in enumerate(group[:share])
    ]
    return [_numbered(one, i) for i, one in enumerate(chosen, 1)]


def _shown(check: CheckResult, finding: Finding, whole: bool) -> Shown:
    return Shown(
        number=0,
        check=visible(check.name, 80),
        kind=visible(check.kind, 20),
        message=visible(finding.message),
        intent=visible(finding.intent or "", 120),
        timeline=timeline(finding.witness) if whole and finding.witness else None,
    )


def _numbered(one: Shown, number: int) -> Shown:
    return Shown(number, one.check, one.kind, one.message, one.intent, one.timeline)


def principle_rows(verdict: Verdict) -> list[PrincipleRow]:
    """The ten principles, each with what touched it."""
    return [
        PrincipleRow(
            principle,
            [
                (visible(check.name, 80), mark(check.outcome))
                for check in touching(principle, verdict.checks)
            ],
        )
        for principle in PRINCIPLES
    ]


def outside_names(verdict: Verdict) -> list[str]:
    """Checks that no principle lists."""
    return [visible(check.name, 80) for check in outside(verdict.checks)]


def fact_rows(run: Run) -> list[Fact]:
    """The run's facts, printable; long lists keep their start."""
    return [Fact(label, _some(lines)) for label, lines in facts.facts(run)]


def _some(lines: Sequence[str], most: int = 40) -> list[str]:
    shown = [visible(line, 200) for line in lines[:most]]
    return shown if len(lines) <= most else [*shown, f"… and {len(lines) - most:,} more"]


def title(verdict: Verdict) -> str:
    """Of the browser's tab: the word first."""
    return f"{headline(verdict).word.upper()} {visible(verdict.scenario, 80)}"


def exit_meaning(verdict: Verdict) -> str:
    """What the exit status says."""
    return STATUSES.get(verdict.exit_status, "unknown")


def outcome_meanings() -> Iterable[tuple[Mark, str]]:
    """Each outcome and what it means."""
    return [(mark(outcome), means) for outcome, means in OUTCOMES.items()]


def finding_count(verdict: Verdict, shown: int) -> str:
    """``3 findings``, and how many are shown when that is not all."""
    found = findings_total(verdict)
    counted = plural(found, "finding")
    return counted if shown == found else f"{counted}, the first {shown:,} shown"

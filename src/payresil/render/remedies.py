"""What operators did about it: every remedy with its steps, as reports show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from payresil.core.remedy_record import Remedy, RemedyStep
from payresil.core.remedy_record import remedies as recorded
from payresil.core.results import Measure, Verdict
from payresil.core.run import Run
from payresil.render import facts, numbers
from payresil.render.visible import visible
from payresil.render.windows import Window
from payresil.render.wording import TERMS, Term

#: Terms that a report defines where it shows them, by how the names of their measures begin.
_DEFINED = ("recovery_time", "data_loss", "detection_time", "decision_time")

#: Told in words of their own, not among the details of a step or a remedy.
_TOLD = frozenset({"step", "error", "confirm"})


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a remedy in words."""

    name: str
    start: str
    took: str
    result: str  # done | failed | never ended
    failed: bool


@dataclass(frozen=True, slots=True)
class RemedyRow:
    """One remedy in words."""

    name: str
    when: str
    took: str
    result: str  # done | failed: … | never ended
    failed: bool
    who: str  # automatic | confirmed after 2.5 s
    parameters: str
    steps: Sequence[StepRow]


def remedy_rows(run: Run) -> list[RemedyRow]:
    """Every remedy of the run, by when it began."""
    return [_row(remedy) for remedy in recorded(run)]


def remedy_windows(run: Run) -> list[Window]:
    """When each remedy was at work, for the charts."""
    return [Window(remedy.id, remedy.start_ns, remedy.end_ns) for remedy in recorded(run)]


def definitions(verdict: Verdict) -> list[Term]:
    """What the measures of recovery mean that are shown in a report of this verdict."""
    shown = {m.name for check in verdict.checks for m in check.measures}
    return [
        term
        for term in TERMS
        if term.name in _DEFINED
        and any(name == term.name or name.startswith(f"{term.name}.") for name in shown)
    ]


def _row(remedy: Remedy) -> RemedyRow:
    end = "on, never ended" if remedy.end_ns is None else f"to {numbers.seconds(remedy.end_ns)}"
    took_ns = None if remedy.end_ns is None else remedy.end_ns - remedy.start_ns
    return RemedyRow(
        name=visible(remedy.id, 80),
        when=f"{numbers.seconds(remedy.start_ns)} {end}",
        took=_took(took_ns),
        result=_result(remedy.end_ns, _why(remedy) if remedy.failed else None),
        failed=not remedy.done,
        who=_who(remedy),
        parameters=visible(facts.parameters(_details(remedy.detail)), 300),
        steps=[_step(step) for step in remedy.steps],
    )


def _step(step: RemedyStep) -> StepRow:
    result = "failed" if step.failed else _result(step.end_ns, None)
    details = visible(facts.parameters(_details(step.detail)), 200) if step.done else ""
    return StepRow(
        name=visible(step.name, 60),
        start=numbers.seconds(step.start_ns),
        took=_took(step.took_ns),
        result=f"{result}, {details}" if details else result,
        failed=not step.done,
    )


def _result(end_ns: int | None, why: str | None) -> str:
    if end_ns is None:
        return "never ended"
    return "done" if why is None else f"failed: {visible(why, 2000)}"


def _why(remedy: Remedy) -> str:
    """Why it failed, as it says itself or the last of its steps that failed."""
    details = [step.detail for step in remedy.steps if step.failed] + [remedy.detail]
    errors = [str(detail["error"]) for detail in details if detail.get("error")]
    return errors[-1] if errors else "no reason recorded"


def _who(remedy: Remedy) -> str:
    """Who decided: nobody had to where no step decides after a confirmation."""
    decide = next((step for step in remedy.steps if step.name == "decide"), None)
    details = [remedy.detail, *([decide.detail] if decide else [])]
    if all(detail.get("confirm") is None for detail in details):
        return "automatic"
    if decide is None or not decide.done:
        return "waited for a confirmation"
    return f"confirmed after {_took(decide.took_ns)}"


def _details(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if name not in _TOLD}


def _took(ns: int | None) -> str:
    return "–" if ns is None else numbers.quantity(ns / 1e9, "s")


def key_line(measures: Sequence[Measure]) -> list[str]:
    """The key measures of a run, each with its value and its objective."""
    return [
        f"{visible(m.name, 60)} {visible(numbers.measure(m), 120)}"
        + (f", objective {visible(m.objective, 80)}" if m.objective else "")
        for m in measures
    ]


def key_lines_wanted(run: Run, verdict: Verdict) -> bool:
    """Whether the run was about a failover, so that its key figures come first."""
    asked = any(check.name.split(".")[0] == "data_loss" for check in verdict.checks)
    return asked or bool(recorded(run))

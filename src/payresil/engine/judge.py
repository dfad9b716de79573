"""From a recorded run to its verdict: a pure function of what the folder holds."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from payresil.core.protocols import Window
from payresil.core.registry import Member, UnknownMember, checkers, faults
from payresil.core.remedy_record import unfinished
from payresil.core.results import (
    CheckResult,
    Doubt,
    Finding,
    Measure,
    Outcome,
    Result,
    Verdict,
    exit_status,
    worst,
)
from payresil.core.run import Run
from payresil.core.scenario import CheckStep, FaultStep, Scenario
from payresil.core.schemas import SCHEMAS
from payresil.core.steps import detail_of
from payresil.core.values import Quantity

#: Findings that a verdict holds; the rest are counted.
FINDINGS_KEPT = 50
#: Of those, the ones that get their timeline.
WITNESSES = 5

#: Phases without whose end the books were read too early, or not at all.
_PHASES = ("drain", "audit")


def judge(run: Run, scenario: Scenario) -> Verdict:
    """Hold a run against what its scenario claims.

    Whatever is missing, raises or was never put to the test is a doubt, and a verdict with doubts
    is no pass.
    """
    whole = _whole(run, scenario)
    checks = [_check(run, name, step) for name, step in _numbered(scenario.checks)]
    checks = [*_with_witnesses(run, checks), whole]
    evidence = tuple(_evidence(run, step) for step in scenario.faults)
    broken = _harness(run, "broken")
    interrupted = bool(_harness(run, "interrupted"))
    carried = Outcome.INCONCLUSIVE if broken or interrupted else Outcome.PASS
    outcome = worst((carried, *(result.outcome for result in (*checks, *evidence))))
    money = any(check.kind == "money" and check.findings for check in checks)
    return Verdict(
        run=str(run.meta.get("run", "")),
        scenario=scenario.name,
        claim=scenario.claim,
        outcome=outcome,
        exit_status=exit_status(
            outcome, money_finding=money, broken=bool(broken), interrupted=interrupted
        ),
        checks=tuple(checks),
        faults=evidence,
        warnings=(
            *map(str, run.meta.get("warnings", ())),
            *_harness(run, "warning"),
            *_uncaught(run, checks),
        ),
        broken="; ".join(broken) or None,
        interrupted=interrupted,
    )


@dataclass
class _Collected:
    """What one check or evidence said so far."""

    measures: list[Measure] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0
    doubts: list[Doubt] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Keep it, of findings the first ones."""
        if isinstance(result, Finding):
            self.findings_total += 1
            if len(self.findings) < FINDINGS_KEPT:
                self.findings.append(result)
        elif isinstance(result, Measure):
            self.measures.append(result)
        elif isinstance(result, Doubt):
            self.doubts.append(result)
        else:
            raise TypeError(f"a check gives Finding, Measure or Doubt, not {result!r}")

    @property
    def outcome(self) -> Outcome:
        """A finding fails, else a doubt leaves it undecided."""
        if self.findings:
            return Outcome.FAIL
        return Outcome.INCONCLUSIVE if self.doubts else Outcome.PASS


def _numbered(steps: Iterable[CheckStep]) -> Iterator[tuple[str, CheckStep]]:
    """Each check with its name; the second of a kind is called ``recovery.2``."""
    seen: dict[str, int] = {}
    for step in steps:
        seen[step.checker] = n = seen.get(step.checker, 0) + 1
        yield (step.checker if n == 1 else f"{step.checker}.{n}"), step


def _check(run: Run, name: str, step: CheckStep) -> CheckResult:
    def questions(member: Member) -> Iterable[Result]:
        needs = member.traits["needs"]
        missing = [need for need in needs if need in SCHEMAS and not run.has(need)]
        if missing:
            return [
                Doubt(f"this run did not record {table}, without which nothing can be judged")
                for table in missing
            ]
        results: Iterable[Result] = member.call(run, **step.parameters)
        return results

    started = time.perf_counter()
    member, said = _ask(lambda: checkers.get(step.checker), questions)
    if not said.doubts and not any(_looked_at(said.measures)):
        said.add(Doubt("the check looked at nothing: all that it judged is counted as zero"))
    return _result(
        name,
        member.traits["kind"] if member else "objective",
        member,
        said,
        step.parameters,
        time.perf_counter() - started,
    )


def _evidence(run: Run, step: FaultStep) -> CheckResult:
    """Whether a fault was injected, and bit."""

    def questions(member: Member) -> Iterable[Result]:
        window = _window(run, step.id)
        if window is None:
            return [Doubt(f"{step.id} was never injected")]
        results: Iterable[Result] = member.traits["evidence"](run, window)
        return results

    started = time.perf_counter()
    member, said = _ask(lambda: faults.get(step.fault), questions)
    if not said.doubts and not any(measure.value for measure in said.measures):
        said.add(Doubt(f"nothing shows that {step.id} touched a payment"))
    return _result(
        step.id, "evidence", member, said, step.parameters, time.perf_counter() - started
    )


def _ask(
    find: Callable[[], Member], questions: Callable[[Member], Iterable[Result]]
) -> tuple[Member | None, _Collected]:
    """Collect what a member says. One that raises leaves a doubt with its traceback."""
    said = _Collected()
    member: Member | None = None
    try:
        member = find()
        for result in questions(member):
            said.add(result)
    except UnknownMember as error:
        said.add(Doubt(f"{error}; is an --import missing?"))
    except (Exception, SystemExit) as error:
        # Third parties' code: whatever it raises must not become a pass, nor end the process.
        said.add(Doubt(f"raised {type(error).__name__}: {error}", traceback.format_exc()))
    return member, said


def _looked_at(measures: Iterable[Measure]) -> list[float | int]:
    return [m.value or 0 for m in measures if m.name.endswith("_judged")]


def _with_witnesses(run: Run, checks: list[CheckResult]) -> list[CheckResult]:
    """The first findings of each check with their timelines, which are drawn up all at once."""
    wanted = dict.fromkeys(
        finding.intent
        for check in checks
        for finding in check.findings[:WITNESSES]
        if finding.intent and not finding.witness
    )
    try:
        timelines = run.timelines([intent for intent in wanted if intent])
    except duckdb.Error as error:
        doubt = Doubt(f"the timelines of the findings cannot be drawn up: {error}")
        return [replace(c, doubts=(*c.doubts, doubt)) if c.findings else c for c in checks]
    return [
        replace(
            check,
            findings=tuple(
                replace(finding, witness=timelines.get(finding.intent or "", ()))
                if i < WITNESSES and not finding.witness
                else finding
                for i, finding in enumerate(check.findings)
            ),
        )
        for check in checks
    ]


def _result(
    name: str,
    kind: str,
    member: Member | None,
    said: _Collected,
    parameters: Mapping[str, Any],
    seconds: float,
) -> CheckResult:
    return CheckResult(
        name=name,
        kind=kind,
        claim=member.claim if member else "",
        outcome=said.outcome,
        parameters={key: _plain(value) for key, value in parameters.items()},
        measures=tuple(said.measures),
        findings=tuple(said.findings),
        findings_total=said.findings_total,
        doubts=tuple(said.doubts),
        seconds=round(seconds, 6),
    )


def _plain(value: Any) -> Any:
    """A parameter as JSON holds it: quantities as written in a scenario."""
    if isinstance(value, Quantity):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _window(run: Run, fault: str) -> Window | None:
    rows = run.rows(
        "select start_ns, healed_ns from fault_windows "
        "where fault = ? and start_ns is not null and injected_ns is not null",
        [fault],
    )
    return Window(fault, *rows[0]) if rows else None


def _whole(run: Run, scenario: Scenario) -> CheckResult:
    """Whether the run itself can carry a verdict."""
    said = _Collected()
    try:
        run.keep()
    except duckdb.Error as error:  # each check that asks these views will say so too
        said.add(Doubt(f"the tables cannot be put together: {error}"))
    attempts = run.one("select count(*) from attempts")
    said.add(Measure("attempts_judged", attempts))
    if attempts == 0:
        said.add(Doubt("no attempt was recorded: nobody tried to pay"))
    if not scenario.checks:
        said.add(Doubt("the scenario checks nothing"))
    ended = {name for (name,) in run.rows("select phase from phases where end_ns is not null")}
    for phase in _PHASES:
        if phase not in ended:
            said.add(Doubt(f"the run did not get through the phase {phase}"))
    for words in unfinished(run):
        said.add(Doubt(words))
    return CheckResult(
        name="run",
        kind="evidence",
        claim="The run went all the way: customers came, and the books were read in the end.",
        outcome=said.outcome,
        measures=tuple(said.measures),
        doubts=tuple(said.doubts),
    )


def _uncaught(run: Run, checks: Iterable[CheckResult]) -> Iterator[str]:
    """That the service's known flaw was not caught, and what is known to catch it."""
    flaw = run.meta.get("flaw")
    if flaw is None or any(check.findings for check in checks):
        return
    said = f"no check caught the flaw {flaw} in this run"
    known = run.meta.get("flaw_exposed_by")
    if isinstance(known, Mapping):
        said += f"; {known.get('check')} is known to catch it in {known.get('scenario')}"
    yield said


def _harness(run: Run, what: str) -> list[str]:
    """What the harness recorded about itself, in order: broken, interrupted, warning."""
    rows = run.rows(
        "select name, detail from events where kind = 'harness' and what = ? "
        "order by at_ns, name, detail",
        [what],
    )
    return [_said(name, detail_of(detail)) for name, detail in rows]


def _said(name: str, detail: Mapping[str, Any]) -> str:
    for key in ("error", "message", "text"):
        if detail.get(key):
            return str(detail[key])
    return name

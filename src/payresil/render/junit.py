"""The verdict for CI: `junit.xml`, one test case per check and per fault.

Elements and attributes are those that Jenkins' and GitLab's readers agree on: `testsuites`,
`testsuite`, `properties`, `testcase`, `failure`, `error`, `system-out`.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from payresil.core.registry import renderer
from payresil.core.results import CheckResult, Exit, Outcome, Verdict
from payresil.core.run import Run
from payresil.render import facts
from payresil.render.headline import by_kind, claims, headline
from payresil.render.result_lines import (
    claim_line,
    doubt_lines,
    doubt_message,
    failure_message,
    finding_lines,
    measure_lines,
)
from payresil.render.visible import visible

#: The case that is there in every file, so that a run that broke or judged nothing is not green.
RUN_CASE = "Neither the environment nor the harness broke, and something was judged."


@renderer(file="junit.xml")
def junit(run: Run, verdict: Verdict) -> str:
    """A suite whose cases are named by their claims; what is not decided is an error."""
    again = visible(facts.command(run, verdict))
    cases = [
        _run_case(verdict, again),
        *(_case(verdict, fault, again) for fault in verdict.faults),
        *(_case(verdict, check, again) for check in by_kind(verdict.checks)),
    ]
    suite = ET.Element("testsuite", _counts(cases) | {"name": visible(verdict.scenario, 200)})
    start = facts.started(run)
    if start is not None:
        suite.set("timestamp", f"{start:%Y-%m-%dT%H:%M:%S}")
    suite.append(_properties(run, verdict, again))
    suite.extend(cases)
    if verdict.warnings:
        ET.SubElement(suite, "system-out").text = "\n".join(map(visible, verdict.warnings))
    suites = ET.Element("testsuites", _counts(cases))
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _counts(cases: list[ET.Element]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": "0",
        "time": f"{sum(float(case.get('time', '0')) for case in cases):.3f}",
    }


def _properties(run: Run, verdict: Verdict, again: str) -> ET.Element:
    properties = ET.Element("properties")
    said = {
        "run": verdict.run,
        "seed": run.meta.get("seed", ""),
        "outcome": verdict.outcome.value,
        "exit_status": verdict.exit_status,
        "again": again,
    }
    for name, value in said.items():
        ET.SubElement(properties, "property", name=name, value=visible(value))
    return properties


def _run_case(verdict: Verdict, again: str) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=f"{visible(verdict.scenario, 200)}.harness",
        name=RUN_CASE,
        time="0.000",
    )
    said = headline(verdict)
    if verdict.broken is not None:
        _add(case, "error", "broken", visible(verdict.broken), [again])
    elif verdict.interrupted:
        _add(case, "error", "interrupted", "the run was interrupted", [again])
    elif not claims(verdict):
        _add(case, "error", "inconclusive", "no check ran, so nothing was judged", [again])
    elif not _shows_in_cases(verdict):
        _add(case, "error", said.word, f"exit status {verdict.exit_status}", [again])
    return case


def _shows_in_cases(verdict: Verdict) -> bool:
    """Whether a case of a check or fault is as red as the exit status is."""
    red = any(result.outcome is not Outcome.PASS for result in (*verdict.checks, *verdict.faults))
    green = verdict.exit_status == Exit.PASS and verdict.outcome is Outcome.PASS
    return red or green


def _case(verdict: Verdict, result: CheckResult, again: str) -> ET.Element:
    case = ET.Element(
        "testcase",
        classname=f"{visible(verdict.scenario, 200)}.{visible(result.name, 100)}",
        name=visible(result.claim or result.name),
        time=f"{result.seconds:.3f}",
    )
    last = ["", f"again: {again}"]
    if result.outcome is Outcome.FAIL:
        body = [claim_line(result), "", *finding_lines(result), *doubt_lines(result), *last]
        _add(case, "failure", result.kind, failure_message(result), body)
    elif result.outcome is Outcome.INCONCLUSIVE:
        body = [claim_line(result), "", *doubt_lines(result), *last]
        _add(case, "error", "inconclusive", doubt_message(result), body)
    ET.SubElement(case, "system-out").text = "\n".join(measure_lines(result))
    return case


def _add(case: ET.Element, tag: str, kind: str, message: str, body: list[str]) -> None:
    ET.SubElement(case, tag, type=visible(kind, 40), message=message).text = "\n".join(body)

"""What CI reads: it must be as red as the exit status, whatever happened."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from payresil.core.results import Finding, Outcome
from payresil.core.run import Run
from payresil.render.combined import combined_junit
from payresil.render.junit import RUN_CASE, junit


def parsed(run, verdict):
    return ET.fromstring(junit(run, verdict))


def test_one_case_per_check_and_fault_named_by_its_claim(flawless, story):
    verdict = story.passed(flawless)
    cases = parsed(flawless, verdict).findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == [
        RUN_CASE,
        *(result.claim for result in (*verdict.faults, *verdict.checks)),
    ]
    assert cases[2].get("classname") == "psp-lost-answers.idempotency"
    assert "intents_judged = 1,290" in cases[2].findtext("system-out")


def test_a_pass_has_no_failures_and_no_errors(flawless, story):
    suite = parsed(flawless, story.passed(flawless)).find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("10", "0", "0")
    assert suite.get("timestamp") == "2026-03-14T10:15:00"


def test_a_failure_has_message_timeline_and_the_command(flawed, story):
    suite = parsed(flawed, story.failed(flawed)).find("testsuite")
    (failure,) = suite.iter("failure")
    assert failure.get("type") == "money"
    assert failure.get("message").startswith("captured 2 times at the PSP")
    assert failure.get("message").endswith("(and 65 more)")
    assert "answer not sent" in failure.text
    assert failure.text.rstrip().endswith("--flaw key-per-attempt --seed 7")
    assert suite.get("failures") == "1"


def test_inconclusive_is_an_error(flawless, story):
    suite = parsed(flawless, story.undecided(flawless)).find("testsuite")
    errors = list(suite.iter("error"))
    assert {error.get("type") for error in errors} == {"inconclusive"}
    assert errors[0].get("message") == "the rule matched no request to payment_intents.cancel"
    assert suite.get("errors") == "3"
    assert "1/0" in errors[2].text


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"broken": "a/db died", "exit_status": 4}, "broken"),
        ({"interrupted": True, "exit_status": 130}, "interrupted"),
        ({"exit_status": 3}, "inconclusive"),
    ],
)
def test_a_run_that_judged_nothing_is_red(story, more, kind):
    run = Run.from_rows({})
    (error,) = parsed(run, story.verdict_of(run, [], [], **more)).iter("error")
    assert error.get("type") == kind


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("status", [0, 1, 3, 4, 130])
def test_ci_is_red_whenever_the_exit_status_or_the_outcome_is(flawless, story, outcome, status):
    """Even when status, outcome and checks contradict each other."""
    verdict = replace(story.passed(flawless), outcome=outcome, exit_status=status)
    suite = parsed(flawless, verdict).find("testsuite")
    red = suite.get("failures") != "0" or suite.get("errors") != "0"
    assert red == (status != 0 or outcome is not Outcome.PASS)


def test_totals_are_on_the_root_too(flawed, story):
    root = parsed(flawed, story.failed(flawed))
    assert root.tag == "testsuites"
    assert root.get("failures") == "1"
    assert root.get("tests") == str(len(list(root.iter("testcase"))))


#: What the readers of Jenkins, GitLab and GitHub's test reporters agree on: of each element the
#: attributes it may have (those it must have in capitals) and the elements it may hold.
READ = {
    "testsuites": ("tests failures errors skipped time name", "testsuite"),
    "testsuite": (
        "NAME TESTS failures errors skipped time timestamp id hostname file",
        "properties testcase system-out system-err",
    ),
    "properties": ("", "property"),
    "property": ("NAME VALUE", ""),
    "testcase": (
        "NAME CLASSNAME time file line assertions",
        "failure error skipped system-out system-err",
    ),
    "failure": ("message type", ""),
    "error": ("message type", ""),
    "system-out": ("", ""),
}


def must_be_readable(element: ET.Element) -> None:
    attributes, inner = READ[element.tag]
    names = attributes.split()
    assert set(element.attrib) <= {name.lower() for name in names}, element.tag
    assert {name.lower() for name in names if name.isupper()} <= set(element.attrib)
    for name in ("tests", "failures", "errors", "skipped"):
        assert element.get(name, "0").isdecimal()
    assert float(element.get("time", "0")) >= 0
    assert element.tag in ("failure", "error", "system-out") or not (element.text or "").strip()
    if element.tag == "testcase":
        assert sum(child.tag in ("failure", "error", "skipped") for child in element) <= 1
    order = [inner.split().index(child.tag) for child in element]
    assert order == sorted(order), element.tag
    for child in element:
        must_be_readable(child)


@pytest.mark.parametrize("ending", ["passed", "failed", "undecided"])
def test_readers_of_junit_files_know_every_element(flawed, story, ending):
    verdict = getattr(story, ending)(flawed, warnings=("a warning",))
    root = parsed(flawed, verdict)
    must_be_readable(root)
    cases = list(root.iter("testcase"))
    identities = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(identities)) == len(cases)
    must_be_readable(ET.fromstring(combined_junit([junit(flawed, verdict)] * 2)))


def test_every_red_case_says_claim_and_command(flawed, story):
    verdict = story.failed(flawed)
    checks = [
        replace(check, outcome=Outcome.FAIL, findings=(Finding(f"{check.name} missed"),))
        if check.name in ("latency", "recovery")
        else check
        for check in verdict.checks
    ]
    failures = list(parsed(flawed, replace(verdict, checks=tuple(checks))).iter("failure"))
    assert len(failures) == 3
    for failure in failures:
        assert failure.text.startswith("claim: ")
        assert "again: payresil run scenarios/gate/psp-lost-answers.yaml --flaw" in failure.text
    for error in parsed(flawed, story.undecided(flawed)).iter("error"):
        assert error.text.startswith("claim: ")
        assert "again: payresil run" in error.text

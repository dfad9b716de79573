"""The zoo's own judgement: what it shortens, and when it says that the harness was wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payresil.core.registry import checkers
from payresil.core.results import CheckResult, Doubt, Finding, Outcome, Verdict
from payresil.engine.lints import lint
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import list_flaws, load_system
from payresil.engine.topologies import topology_of
from tests.zoo.matrix import Row, matrix
from tests.zoo.shortened import AFTER, LONGEST_FAULT, STEADY, shortened
from tests.zoo.specimens import FLAWED, FLAWLESS, SCENARIOS, SYSTEMS, Specimen

FLAW = Specimen("gate/psp-lost-answers", "key-per-attempt", "idempotency")
NO_FLAW = Specimen("gate/psp-lost-answers")


def result(name: str, *, finds: bool = False, doubts: bool = False) -> CheckResult:
    return CheckResult(
        name=name,
        kind="money",
        claim="",
        outcome=Outcome.FAIL if finds else Outcome.INCONCLUSIVE if doubts else Outcome.PASS,
        findings=(Finding("charged twice"),) if finds else (),
        findings_total=int(finds),
        doubts=(Doubt("nothing to judge"),) if doubts else (),
    )


def verdict(*checks: CheckResult, broken: str | None = None) -> Verdict:
    return Verdict("r", "s", "c", Outcome.PASS, 0, checks, (), broken=broken)


def test_every_flaw_has_a_specimen_and_every_specimen_its_check() -> None:
    known = {flaw for system in SYSTEMS for flaw in list_flaws(load_system(system))}
    assert {each.flaw for each in FLAWED} == known
    for each in FLAWED:
        scenario = load_scenario(each.path, flaw=each.flaw)
        checks = {step.checker for step in shortened(scenario, each.check).checks}
        assert each.check in checks, f"{each.check} is no check of {each.scenario}"


def test_the_flawless_service_runs_in_every_scenario_of_the_gate() -> None:
    scenarios = {each.path for each in FLAWLESS}
    assert scenarios >= set((SCENARIOS / "gate").glob("*.yaml"))
    assert scenarios >= {each.path for each in FLAWED}


@pytest.mark.parametrize("specimen", FLAWLESS, ids=lambda each: each.scenario)
def test_a_shortened_scenario_keeps_its_faults_and_its_money_checks(specimen: Specimen) -> None:
    whole = load_scenario(specimen.path)
    short = shortened(whole)
    assert [step.fault for step in short.faults] == [step.fault for step in whole.faults]
    assert {checkers.get(step.checker).traits["kind"] for step in short.checks} == {"money"}
    assert short.workload.duration <= whole.workload.duration
    assert short.remedies == whole.remedies
    if short.faults and not short.remedies:
        ends = [float(step.at) + float(step.duration) for step in short.faults]
        assert min(step.at for step in short.faults) == STEADY
        assert all(step.duration <= LONGEST_FAULT for step in short.faults)
        assert float(short.workload.duration) == max(ends) + float(AFTER)
    system = load_system(whole.system.name)
    lint(short, system, topology_of(system))  # raises where it could not run


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row(FLAW, verdict(result("idempotency", finds=True))), "caught"),
        (
            Row(FLAW, verdict(result("idempotency", finds=True), result("refunds", finds=True))),
            "caught",
        ),
        (Row(FLAW, verdict(result("idempotency"))), "MISSED"),
        (Row(FLAW, verdict(result("idempotency", doubts=True))), "MISSED"),
        (Row(FLAW, verdict(result("idempotency"), result("refunds", finds=True))), "WRONG CHECK"),
        (Row(FLAW, None, "exit 2"), "BROKEN"),
        (Row(FLAW, verdict(result("idempotency", finds=True), broken="psp died")), "BROKEN"),
        (Row(NO_FLAW, verdict(result("idempotency"))), "clean"),
        (Row(NO_FLAW, verdict(result("idempotency", finds=True))), "FALSE ALARM"),
        (Row(NO_FLAW, verdict(result("idempotency", doubts=True))), "UNDECIDED"),
        (Row(NO_FLAW, replace(verdict(result("i")), interrupted=True)), "BROKEN"),
    ],
)
def test_what_a_row_means(row: Row, expected: str) -> None:
    assert row.result == expected
    assert row.is_right is (expected in ("caught", "clean"))
    assert expected in matrix([row])


def test_a_fault_that_did_not_bite_leaves_the_flawless_service_undecided() -> None:
    said = replace(verdict(result("idempotency")), faults=(result("latency", doubts=True),))
    assert Row(NO_FLAW, said).result == "UNDECIDED"


def test_the_matrix_says_what_is_wrong_with_a_row() -> None:
    text = matrix([
        Row(FLAW, verdict(result("idempotency"), result("refunds", finds=True))),
        Row(NO_FLAW, verdict(result("idempotency", finds=True))),
        Row(NO_FLAW, None, "exit 2: no such file"),
    ])  # fmt: skip
    assert "idempotency should have fired" in text
    assert "idempotency: charged twice" in text
    assert "exit 2: no such file" in text
    assert text.endswith("0 of 3 as they should be")

"""Loaded with `--import`: scenarios end as their names say, at once, and nothing is started."""

from __future__ import annotations

import json
import os
from pathlib import Path

from payresil.core.protocols import EnvironmentBroke
from payresil.core.results import (
    CheckResult,
    Doubt,
    Exit,
    Finding,
    Line,
    Measure,
    Outcome,
    Verdict,
)
from payresil.core.schemas import SCHEMA_VERSION
from payresil.core.verdict_file import VERDICT_FILE, to_json
from payresil.engine import pipeline, series
from payresil.engine.run_plan import RunPlan
from payresil.engine.stopping import Stop, on_signals

WITNESS = (
    Line(1_000_000_000, "client", "attempt 1 (load): create key k"),
    Line(1_100_000_000, "psp", "charge ch_2 succeeded", fault=True),
)


def pretended(plan: RunPlan) -> Verdict:
    """Take the place of `run_plan`: leave a run folder and its verdict."""
    with Path("runs.txt").open("a") as runs:
        runs.write(f"{plan.scenario.name} {plan.scenario.seed} {plan.scenario.system.flaw}\n")
    name = plan.scenario.name
    if name == "no-environment":
        raise EnvironmentBroke("there is no supervisor")
    if name == "waits":
        _wait_for_an_end()
    pipeline._write_scenario(plan)
    checks = [_check(step.checker, name) for step in plan.scenario.checks]
    for n, check in enumerate(checks):
        if [each.name for each in checks].index(check.name) < n:
            checks[n] = CheckResult(f"{check.name}.2", check.kind, check.claim, check.outcome)
    faults = [CheckResult(step.id, "evidence", "", Outcome.PASS) for step in plan.scenario.faults]
    status = {"flawed": 1, "broken-late": 1, "undecided": 3, "broken": 4, "waits": 130}.get(name, 0)
    verdict = Verdict(
        run=f"r-{name}",
        scenario=name,
        claim=plan.scenario.claim,
        outcome={0: Outcome.PASS, 1: Outcome.FAIL}.get(status, Outcome.INCONCLUSIVE),
        exit_status=status,
        checks=(*checks, CheckResult("run", "evidence", "It went all the way.", Outcome.PASS)),
        faults=tuple(faults),
        broken="a/db died" if name.startswith("broken") else None,
        interrupted=status == Exit.INTERRUPTED,
    )
    if name == "silent":  # red, and no result shows it
        verdict = Verdict(**{**_fields(verdict), "exit_status": 3})
    (plan.folder / "run.json").write_text(json.dumps(_meta(plan, verdict)))
    run, _ = pipeline.open_run(plan.folder)
    pipeline.write_reports(run, verdict)
    (plan.folder / VERDICT_FILE).write_text(to_json(verdict))
    return verdict


def _check(checker: str, name: str) -> CheckResult:
    found = name in ("flawed", "broken-late") and checker == "idempotency"
    doubtful = name == "undecided" and checker == "durability"
    return CheckResult(
        name=checker,
        kind="money",
        claim=f"The claim of {checker}.",
        outcome=Outcome.FAIL if found else Outcome.INCONCLUSIVE if doubtful else Outcome.PASS,
        measures=(Measure("intents_judged", 7),),
        findings=(Finding("captured 2 times", "r-1", WITNESS),) if found else (),
        findings_total=3 if found else 0,
        doubts=(Doubt("nothing was put to the test"),) if doubtful else (),
    )


def _fields(verdict: Verdict) -> dict[str, object]:
    return {name: getattr(verdict, name) for name in Verdict.__slots__}


def _meta(plan: RunPlan, verdict: Verdict) -> dict[str, object]:
    return {
        "run": verdict.run,
        "scenario": verdict.scenario,
        "schema_version": SCHEMA_VERSION,
        "zero_wall_us": 1,
        **series._meta(plan),
    }


def _wait_for_an_end() -> None:
    """As a run does: signals ask for an end, and what follows takes its time."""
    stop = Stop()
    with on_signals(stop):
        with open("started", "w") as pipe:  # whoever reads it knows that we are here
            pipe.write(str(os.getpid()))
        stop.wait_until(2**62, lambda: None)
        Path("healed").touch()


series.run_plan = pretended

"""What a run says of itself, for the checks that need to know the system."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payresil.core.protocols import Assembly, Secrets
from payresil.core.scenario import Scenario
from payresil.core.system import System
from payresil.engine.journal import Journal
from payresil.engine.run_file import write_run_file
from payresil.engine.run_plan import RunPlan
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

SCENARIO = """
name: known
claim: It says how its metrics and logs are to be read.
system: refpay
workload: {rate: 10/s, duration: 1s, journeys: {checkout: 1}}
checks: [idempotency]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    path = tmp_path / "known.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load_scenario(path)


def written(folder: Path, scenario: Scenario, system: System, flaw: str | None = None) -> Any:
    """What ``run.json`` holds of a run of this system."""
    topology = topology_of(system)
    secrets = Secrets("a" * 32, "b" * 32, "c" * 32, "d" * 32, "e" * 32, ("4000020123456789",), "1")
    ignored: Any = None
    assembly = Assembly("ab", system, topology, secrets, 1, flaw, folder, folder, on_event=ignored)
    journal = Journal(folder)
    journal.set_zero(0)
    plan = RunPlan(scenario, system, topology, "process", folder, folder / "known.yaml")
    write_run_file(plan, assembly, journal)
    journal.close()
    return json.loads((folder / "run.json").read_text())


def test_how_metrics_and_logs_are_read_is_written_down(tmp_path: Path, scenario: Scenario) -> None:
    meta = written(tmp_path, scenario, load_system("refpay"))
    assert meta["signals"]["traffic"] == "refpay_requests_total"
    assert "create_payment" in meta["signals"]["where"]["route"]
    assert meta["logs"] == {
        "time": "ts", "level": "level", "event": "event", "reference": "reference"
    }  # fmt: skip


def test_what_the_service_is_to_be_told_and_what_is_pending_is_written_down(
    tmp_path: Path, scenario: Scenario
) -> None:
    system = load_system("refpay")
    meta = written(tmp_path, scenario, system)
    assert meta["webhook_events"] == list(system.webhook_events)
    assert meta["pending"] == ["processing"]


def test_a_system_that_takes_no_webhooks_is_told_of_nothing(
    tmp_path: Path, scenario: Scenario
) -> None:
    meta = written(tmp_path, scenario, replace(load_system("refpay"), webhook_path=None))
    assert meta["webhook_events"] == []


def test_where_the_flaw_of_the_run_is_caught_is_written_down(
    tmp_path: Path, scenario: Scenario
) -> None:
    system = load_system("refpay")
    silent = replace(system, service=replace(system.service, exposed_by={}))
    named = {"check": "idempotency", "scenario": "scenarios/gate/psp-lost-answers.yaml"}
    for n, (flaw, one, expected) in enumerate(
        (
            (None, system, None),
            ("key-per-attempt", system, named),
            ("key-per-attempt", silent, None),
        )
    ):
        (tmp_path / str(n)).mkdir()
        assert written(tmp_path / str(n), scenario, one, flaw)["flaw_exposed_by"] == expected

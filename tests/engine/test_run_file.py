"""What a run says of itself, for the checks that need to know the system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from payresil.core.protocols import Assembly, Secrets
from payresil.core.scenario import Scenario
from payresil.engine.journal import Journal
from payresil.engine.run_file import write_run_file
from payresil.engine.run_plan import RunPlan
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import default_topology, load_system

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


def test_how_metrics_and_logs_are_read_is_written_down(tmp_path: Path, scenario: Scenario) -> None:
    system = load_system("refpay")
    topology = default_topology(system)
    secrets = Secrets("a" * 32, "b" * 32, "c" * 32, "d" * 32, "e" * 32, ("4000020123456789",), "1")
    ignored: Any = None
    assembly = Assembly(
        "ab", system, topology, secrets, 1, None, tmp_path, tmp_path, on_event=ignored
    )
    journal = Journal(tmp_path)
    journal.set_zero(0)
    plan = RunPlan(scenario, system, topology, "process", tmp_path, tmp_path / "known.yaml")
    write_run_file(plan, assembly, journal)
    journal.close()
    meta = json.loads((tmp_path / "run.json").read_text())
    assert meta["signals"]["traffic"] == "refpay_requests_total"
    assert "create_payment" in meta["signals"]["where"]["route"]
    assert meta["logs"] == {
        "time": "ts", "level": "level", "event": "event", "reference": "reference"
    }  # fmt: skip

"""The scenarios that payresil brings along are sound, and explain themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from payresil.core.plan import Plan
from payresil.core.scenario import Scenario
from payresil.core.values import Share
from payresil.engine.explain import explain
from payresil.engine.lints import lint
from payresil.engine.sample_size import phase_seconds
from payresil.engine.scenario_file import dump_scenario, load_scenario
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.rglob("*.yaml"))

#: A gate is waited for: with start, drain and judging it must end within 90 s.
GATE_TRAFFIC_S = 45.0


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def scenario(path: Path) -> Scenario:
    return load_scenario(path)


def test_there_are_scenarios() -> None:
    assert "gate/psp-lost-answers.yaml" in {str(path.relative_to(FOLDER)) for path in FILES}


def test_a_scenario_is_called_like_its_file(path: Path, scenario: Scenario) -> None:
    assert scenario.name == path.stem


def test_a_scenario_has_no_weakness_that_is_known(scenario: Scenario) -> None:
    system = load_system(scenario.system.name)
    assert lint(scenario, system, topology_of(system)) == ()


def test_a_scenario_is_recorded_as_it_runs(scenario: Scenario, tmp_path: Path) -> None:
    copy = tmp_path / "scenario.yaml"
    copy.write_text(dump_scenario(scenario), encoding="utf-8")
    assert load_scenario(copy) == scenario


def test_a_scenario_explains_itself(scenario: Scenario) -> None:
    system = load_system(scenario.system.name)
    text = explain(scenario, system, topology_of(system))
    assert scenario.claim in text
    for step in scenario.faults:
        assert step.id in text
    for check in scenario.checks:
        assert check.checker in text


def test_a_gate_ends_soon(path: Path, scenario: Scenario) -> None:
    if path.parent.name == "gate":
        assert scenario.workload.warm_up + scenario.workload.duration <= GATE_TRAFFIC_S


def test_the_plan_of_the_main_gate_is_large_enough() -> None:
    """Its very arrivals, not only their expected number, can decide its objectives."""
    scenario = load_scenario(FOLDER / "gate" / "psp-lost-answers.yaml")
    (fault,) = scenario.faults
    assert fault.fault == "psp_lost_answers"
    assert fault.parameters["share"] == Share(0.3)
    due = [arrival.due_s for arrival in Plan(scenario.seed, scenario.workload).arrivals()]
    steady = sum(0 <= at < fault.at for at in due)
    assert steady >= 400
    assert phase_seconds(scenario) == {"steady": 10.0, "faulted": 8.0, "recovering": 12.0}

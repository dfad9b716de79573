"""Checks that must know what only the system file can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payresil.core import registry
from payresil.core.problems import InvalidScenario
from payresil.core.system import System
from payresil.core.topology import Topology
from payresil.engine.lints import lint
from payresil.engine.scenario_file import load_scenario

SCENARIO = """
name: x
claim: y
system: refpay
workload: {rate: 50/s, duration: 40s, journeys: {impatient: 1}, timeout: 2s}
faults:
  - {at: 10s, duration: 8s, lost_answers}
checks:
  - idempotency
  - knowing
"""


def add(monkeypatch: pytest.MonkeyPatch, *needs: str) -> None:
    def knowing(run: Any) -> None:
        """It knows."""

    monkeypatch.setattr(registry.checkers, "_members", dict(registry.checkers._members))
    registry.checkers.add("knowing", knowing, kind="objective", needs=needs)


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("signals", "expected `signals` in the system file, the names of its metrics"),
        ("logs", "expected `logs` in the system file, the names of the fields of its log lines"),
    ],
)
def test_a_system_file_that_leaves_out_what_a_check_must_know(
    write: Callable[..., Path],
    system: System,
    topology: Topology,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    problem: str,
) -> None:
    add(monkeypatch, part)
    scenario = load_scenario(write(SCENARIO))
    assert lint(scenario, system, topology) == ()
    lacking = replace(system, signals=None, logs=None)
    with pytest.raises(InvalidScenario) as caught:
        lint(scenario, lacking, topology)
    (found,) = caught.value.problems
    assert str(found.where).endswith("scenario.yaml:10:5")
    assert f"read knowing on refpay, {problem}" in str(found).replace("'", "")


def test_a_check_whose_author_misspelt_a_part(
    write: Callable[..., Path],
    system: System,
    topology: Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(monkeypatch, "signal")
    with pytest.raises(InvalidScenario, match=r"not 'signal' \(did you mean signals\?\)"):
        lint(load_scenario(write(SCENARIO)), system, topology)

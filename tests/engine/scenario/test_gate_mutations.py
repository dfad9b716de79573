"""Our own files, spoilt in 500 ways and more: accepted rightly, or refused with a place."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation, load_or_refuse, located

from payresil.core.problems import InvalidScenario
from payresil.engine.explain import explain
from payresil.engine.lints import lint
from payresil.engine.scenario_file import dump_scenario, load_scenario
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

_SCENARIOS = Path(__file__).parents[3] / "scenarios"
#: Those of the gate, and of the rehearsals those that have remedies.
OURS = [
    *sorted((_SCENARIOS / "gate").glob("*.yaml")),
    *sorted(
        path
        for path in (_SCENARIOS / "rehearsal").glob("*.yaml")
        if "remedies:" in path.read_text(encoding="utf-8")
    ),
]

#: Spoilt files in all, at least; and of them those that go through the command line.
IN_ALL = 500
BY_COMMAND = 12

#: A file is read while somebody waits.
LONGEST_S = 2.0


@pytest.fixture(autouse=True, scope="module")
def own_members() -> None:
    """Here the real faults, checkers and journeys are named."""


def spoilt(path: Path, mutation: Mutation, n: int) -> str:
    rng = random.Random(f"{path.name}/{mutation.__name__}/{n}")
    return mutation(rng, path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.stem))
def test_a_spoilt_file_is_accepted_rightly_or_refused(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "scenario.yaml"
    system = load_system(load_scenario(path).system.name)
    topology = topology_of(system)
    each = -(-IN_ALL // (len(MUTATIONS) * len(OURS)))
    for mutation in MUTATIONS:
        for n in range(each):
            copy.write_text(spoilt(path, mutation, n), encoding="utf-8")
            began = time.process_time()
            scenario = load_or_refuse(copy)
            if scenario is not None:
                try:
                    lint(scenario, system, topology)
                    assert scenario.claim in explain(scenario, system, topology)
                except InvalidScenario as error:
                    located(error, copy)
                copy.write_text(dump_scenario(scenario), encoding="utf-8")
                assert load_scenario(copy) == scenario
            assert time.process_time() - began < LONGEST_S, (mutation.__name__, n)


def test_the_command_line_says_it_without_a_traceback(tmp_path: Path) -> None:
    rng = random.Random(5)
    copy = tmp_path / "scenario.yaml"
    for n in range(BY_COMMAND):
        path, mutation = rng.choice(OURS), MUTATIONS[n % len(MUTATIONS)]
        copy.write_text(spoilt(path, mutation, 1000 + n), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "payresil.cli", "explain", str(copy)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Traceback" not in done.stderr
        if done.returncode == 0:
            assert done.stdout
        else:
            assert done.returncode == 2
            assert done.stderr.startswith(f"Error: {copy}")
            assert ", expected " in done.stderr

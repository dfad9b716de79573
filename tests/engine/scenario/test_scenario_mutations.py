"""Whatever is done to a good file: it loads, or it is refused with located problems."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation, load_or_refuse, located

from payresil.core.problems import InvalidScenario
from payresil.core.system import System
from payresil.engine.lints import lint
from payresil.engine.scenario_file import dump_scenario, load_scenario
from payresil.engine.system_file import load_system, system_path
from payresil.engine.topologies import topology_of

#: What a scenario of two regions has beside that of one.
REMEDIES = """\
remedies:
  - {at: 0s, failover: {to: b, detect_after: 1500ms}}
  - at: 30s
    confirm: 2s
    failback:
      to: a
  - {at: 12s, restore}
"""


@pytest.fixture(params=["refpay", "refpay-two-regions"])
def system(request: pytest.FixtureRequest) -> System:
    return load_system(request.param)


@pytest.fixture
def good(good: str, system: System) -> str:
    if system.regions is None:
        return good
    choice = f"system: {{{system.name}: {{replication: quorum}}}}"
    return good.replace("system: refpay", choice) + REMEDIES


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_a_changed_scenario_loads_or_is_refused(
    good: str, system: System, tmp_path: Path, mutation: Mutation
) -> None:
    path = tmp_path / "scenario.yaml"
    topology = topology_of(system)
    for seed in range(60):
        rng = random.Random(f"{mutation.__name__}/{seed}")
        path.write_text(mutation(rng, good.splitlines()), encoding="utf-8")
        scenario = load_or_refuse(path)
        if scenario is None:
            continue
        path.write_text(dump_scenario(scenario), encoding="utf-8")
        assert load_scenario(path) == scenario  # what loads also survives being recorded
        with suppress(InvalidScenario):
            lint(scenario, system, topology)


def test_several_changes_at_once(good: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    for seed in range(100):
        rng = random.Random(seed)
        text = good
        for _ in range(rng.randrange(2, 6)):
            text = rng.choice(MUTATIONS)(rng, text.splitlines() or [" "]) or " "
            if not re.search(r"[a-z_]{3,}", text) or ": " not in text:
                break
        path.write_text(text, encoding="utf-8")
        load_or_refuse(path)


def test_changed_bytes(good: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    data = good.encode()
    for seed in range(150):
        rng = random.Random(seed)
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at + 1 :])
        load_or_refuse(path)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_a_changed_system_file_loads_or_is_refused(
    system: System, tmp_path: Path, mutation: Mutation
) -> None:
    original = system_path(system.name)
    assert original is not None
    good = original.read_text(encoding="utf-8")
    path = tmp_path / "system.yaml"
    for seed in range(15):
        rng = random.Random(f"{mutation.__name__}/{seed}")
        path.write_text(mutation(rng, good.splitlines()), encoding="utf-8")
        try:
            topology_of(load_system(path))
        except InvalidScenario as error:
            located(error, path)


def test_the_good_ones_are_good(good: str, system: System, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(good, encoding="utf-8")
    lint(load_scenario(path), system, topology_of(system))


def test_a_heap_of_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    heaps = ["[" * 50_000, "{a: " * 20_000, "- " * 40_000, "a:\n" * 9_000, "x" * 50_000,
             "'" * 50_000, "&a " * 30_000, "? " * 40_000, "#" * 50_000, "a: 1\n" * 9_000,
             "".join(f"key{n}: 1\n" for n in range(4_000))]  # fmt: skip
    for heap in heaps:
        path.write_text(heap)
        assert load_or_refuse(path) is None

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from payresil.core.scenario import SystemChoice
from payresil.core.system import System
from payresil.core.topology import Topology
from payresil.core.values import Duration
from payresil.engine.explain import explain
from payresil.engine.scenario_file import InvalidScenario, load_scenario

Write = Callable[..., Path]


def bar_of(text: str, name: str) -> tuple[int, int]:
    """Where the bar of a row begins, and its length, in columns."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"  {name} ")]
    width = line.index("#")
    return width, line.count("#")


def test_a_scenario_in_words(good: str, write: Write, system: System, topology: Topology) -> None:
    text = explain(load_scenario(write(good)), system, topology)
    assert text.startswith("lost-answers\n  A customer is charged once.\n")
    assert "refpay, without a known flaw" in text
    assert "about 2,050 payments: 50/s, arriving evenly, for 41s, 1s of them to warm up" in text
    assert "\n          80% checkout: Pays once." in text
    assert "\n          20% impatient: Clicks twice." in text
    assert "at 10s for 8s: lost_answers (share 30%)\n      The PSP commits and its answer" in text
    assert "at 25s for 1s: lost_answers.2 (share 100%)" in text
    assert "  objective  recovery (rto 15s, window 1s)\n             Service is restored" in text
    assert "  money      idempotency\n" in text
    assert "Warnings" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 100


def test_bars_stand_where_the_axis_says(
    good: str, write: Write, system: System, topology: Topology
) -> None:
    text = explain(load_scenario(write(good)), system, topology)
    labels = next(line for line in text.splitlines() if line.strip().startswith("0s"))
    start, length = bar_of(text, "lost_answers")
    assert abs(start - labels.index("10s")) <= 1
    assert abs(start + length - labels.index("20s")) <= 4  # it heals at 18s
    assert abs(bar_of(text, "latency")[0] - labels.index("20s")) <= 1
    assert bar_of(text, "crash")[1] >= 1


def test_phases_follow_each_other(
    good: str, write: Write, system: System, topology: Topology
) -> None:
    text = explain(load_scenario(write(good)), system, topology)
    (line,) = [line for line in text.splitlines() if line.startswith("  phase ")]
    phases = line.split()[1]
    assert len(phases) == 64
    assert phases.strip(".").startswith("-")
    assert phases.endswith("~")
    assert list(dict.fromkeys(phases)) == [".", "-", "#", "~"]


def test_warnings_are_told(good: str, write: Write, system: System, topology: Topology) -> None:
    text = explain(load_scenario(write(good.replace("50/s", "5/s"))), system, topology)
    assert "\nWarnings\n" in text
    assert "availability cannot decide steady 99%" in text


def test_what_cannot_run_is_not_explained(
    good: str, write: Write, system: System, topology: Topology
) -> None:
    scenario = load_scenario(write(good.replace("service->db", "db->service")))
    with pytest.raises(InvalidScenario, match="expected a link of this topology"):
        explain(scenario, system, topology)


def test_a_flaw_is_named(good: str, write: Write, system: System, topology: Topology) -> None:
    scenario = replace(load_scenario(write(good)), system=SystemChoice("refpay", "two-keys"))
    assert "refpay, with the flaw two-keys" in explain(scenario, system, topology)


@pytest.mark.parametrize("duration", ["200ms", "3s", "90s", "20m", "36h", "90d"])
def test_any_length_has_an_axis(
    good: str, write: Write, system: System, topology: Topology, duration: str
) -> None:
    scenario = load_scenario(write(good))
    length = Duration.parse(duration)
    workload = replace(scenario.workload, duration=length)
    for faults in ((), tuple(replace(step, at=Duration(length / 3)) for step in scenario.faults)):
        text = explain(replace(scenario, workload=workload, faults=faults), system, topology)
        labels = next(line for line in text.splitlines() if line.strip().startswith("0s"))
        assert len(labels) < 110

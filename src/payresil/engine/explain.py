"""``payresil explain``: what a scenario would do, before it does it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from payresil.core import registry
from payresil.core.plan import Plan
from payresil.core.scenario import RemedyStep, Scenario
from payresil.core.schema import plain
from payresil.core.system import System
from payresil.core.topology import Topology
from payresil.core.values import Duration
from payresil.engine.lints import lint
from payresil.engine.sample_size import phase_at

#: Columns of the time axis, of a line of text, and between two labels of the axis at least.
_COLUMNS = 64
_WIDTH = 100
_BETWEEN = 9

#: Steps between labels, in seconds, from which the axis takes the first that leaves room.
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

_PHASES = {"warm-up": ".", "steady": "-", "faulted": "#", "recovering": "~"}
_WATCH = ":"


def explain(
    scenario: Scenario, system: System, topology: Topology, notices: Sequence[str] = ()
) -> str:
    """The whole experiment in readable text: workload, timeline, checks, warnings.

    `notices` are warnings beside those of the scenario itself.

    Raises:
        InvalidScenario: when the scenario needs what the system does not have.
    """
    warnings = dict.fromkeys([*lint(scenario, system, topology), *notices])
    parts = [
        [scenario.name, f"  {scenario.claim}"],
        list(_setting(scenario, system, topology)),
        list(_workload(scenario)),
        list(_timeline(scenario)),
        list(_checks(scenario)),
        ["Warnings", *(f"  {warning}" for warning in warnings)] if warnings else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _setting(scenario: Scenario, system: System, topology: Topology) -> Iterator[str]:
    flaw = scenario.system.flaw
    state = f"with the flaw {flaw}" if flaw else "without a known flaw"
    yield f"System    {system.name}, {state}"
    if system.regions is not None:
        yield (
            f"Regions   {system.regions.active} takes payments, {system.regions.standby} stands "
            f"by; {system.replication} replication"
        )
    nodes = ", ".join(str(node) for node in topology.nodes)
    first, *more = _wrapped(nodes, " " * 10)
    yield f"Nodes     {first.lstrip()}"
    yield from more
    yield f"Links     {len(topology.links)}, each through a proxy"
    yield f"Seed      {scenario.seed}"


def _workload(scenario: Scenario) -> Iterator[str]:
    workload = scenario.workload
    arrivals = {"poisson": "at random (Poisson)", "constant": "evenly"}[workload.arrivals]
    warm_up = f", {workload.warm_up} of them to warm up" if workload.warm_up else ""
    total = Duration(workload.warm_up + workload.duration)
    yield (
        f"Workload  about {Plan(scenario.seed, workload).expected():,.0f} payments: "
        f"{workload.rate}, arriving {arrivals}, for {total}{warm_up}"
    )
    yield (
        f"          customers wait {workload.timeout} for an answer, give up after "
        f"{workload.patience}, and keep coming whatever happens"
    )
    weights = sum(workload.journeys.values())
    for name, weight in sorted(workload.journeys.items(), key=lambda pair: (-pair[1], pair[0])):
        claim = registry.journeys.get(name).claim
        yield from _wrapped(f"{weight / weights:.0%} {name}: {claim}", " " * 10)


def _timeline(scenario: Scenario) -> Iterator[str]:
    axis = _Axis(scenario)
    rows = {step.id: axis.bar(float(step.at), float(step.duration)) for step in scenario.faults}
    rows |= {step.id: axis.watch(float(step.at)) for step in scenario.remedies}
    width = max(len(name) for name in (*rows, "phase"))
    yield f"Timeline  one column is {axis.column_s:.2g}s"
    yield f"  {'':<{width}}  {axis.labels()}".rstrip()
    yield f"  {'phase':<{width}}  {axis.phases(scenario)}"
    for name, bar in rows.items():
        yield f"  {name:<{width}}  {bar}".rstrip()
    yield f"  {'':<{width}}  {_legend(scenario)}"
    yield "  then no new traffic: drain, settle, reconcile, audit, judge"
    for step in scenario.faults:
        claim = registry.faults.get(step.fault).claim
        yield f"  at {step.at} for {step.duration}: {step.id}{_said(step.parameters)}"
        yield from _wrapped(claim, " " * 6)
    for remedy in scenario.remedies:
        yield f"  at {remedy.at}, {_decided(remedy)}: {remedy.id}{_said(remedy.parameters)}"
        yield from _wrapped(registry.remedies.get(remedy.remedy).claim, " " * 6)


def _legend(scenario: Scenario) -> str:
    marks = {_WATCH: "remedy, on watch or at work"} if scenario.remedies else {}
    names = {mark: name for name, mark in _PHASES.items()} | marks
    return "  ".join(f"{mark} {name}" for mark, name in names.items())


def _decided(remedy: RemedyStep) -> str:
    if remedy.confirm is None:
        return "automatic"
    return f"confirmed by a person after {remedy.confirm}"


def _checks(scenario: Scenario) -> Iterator[str]:
    yield "Checks"
    for step in scenario.checks:
        member = registry.checkers.get(step.checker)
        kind = str(member.traits.get("kind", ""))
        yield f"  {kind:<9}  {step.checker}{_said(step.parameters)}"
        yield from _wrapped(member.claim, " " * 13)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _said(parameters: Mapping[str, Any]) -> str:
    """Parameters in brackets; those that were left open say nothing."""
    words = [f"{name} {plain(value)}" for name, value in parameters.items() if value is not None]
    return f" ({', '.join(words)})" if words else ""


class _Axis:
    """Time from the start of the warm-up to the end of the traffic, or of the last fault."""

    def __init__(self, scenario: Scenario) -> None:
        ends = [float(end) for _, end in scenario.windows().values()]
        self._start_s = -float(scenario.workload.warm_up)
        self._end_s = max([float(scenario.workload.duration), *ends])
        self.column_s = (self._end_s - self._start_s) / _COLUMNS

    def labels(self) -> str:
        """Times written above their columns; zero is always one of them."""
        line = ""
        least_s = _BETWEEN * self.column_s
        days = _STEPS_S[-1] * math.ceil(least_s / _STEPS_S[-1])
        step_s = next((step for step in _STEPS_S if step >= least_s), days)
        for n in range(math.floor(self._end_s / step_s) + 1):
            label = str(Duration(round(n * step_s, 1)))
            line = line.ljust(self._column(n * step_s)) + label
        return line

    def bar(self, at_s: float, duration_s: float) -> str:
        """A bar from when a fault is injected to when it heals, at least one column long."""
        first = self._column(at_s)
        return " " * first + "#" * max(1, self._column(at_s + duration_s) - first)

    def watch(self, at_s: float) -> str:
        """From when a remedy is on watch to the end, at least one column long."""
        first = min(self._column(at_s), _COLUMNS - 1)
        return " " * first + _WATCH * (_COLUMNS - first)

    def phases(self, scenario: Scenario) -> str:
        """The phase in the middle of every column."""
        windows = [(float(start), float(end)) for start, end in scenario.windows().values()]
        middles = (self._start_s + (n + 0.5) * self.column_s for n in range(_COLUMNS))
        phases = (phase_at(windows, at) if at >= 0 else "warm-up" for at in middles)
        return "".join(_PHASES[phase] for phase in phases)

    def _column(self, at_s: float) -> int:
        return min(_COLUMNS, round((at_s - self._start_s) / self.column_s))

"""What a scenario names, found: its system, whether it can be started, where it runs already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from payresil.core.attachment import Attached
from payresil.core.problems import Problem
from payresil.core.scenario import Scenario
from payresil.core.system import System
from payresil.core.topology import Topology
from payresil.engine.attach_file import load_attachment
from payresil.engine.attached_rules import attached_topology, impossible
from payresil.engine.refusal import Refusal
from payresil.engine.system_file import check_start, load_system
from payresil.engine.topologies import topology_of


@dataclass(frozen=True, slots=True)
class Resolved:
    """What there is to run a scenario on."""

    system: System
    topology: Topology
    attached: Attached | None  # where it runs already
    cannot: tuple[Problem, ...]  # faults that cannot be brought about there


def resolve(scenario: Scenario, backend: str, at: Path | None) -> Resolved:
    """Find what a scenario names; `at` is the attach file of a system that runs already.

    Raises:
        InvalidScenario: with every problem of the system file or the attach file.
        Refusal: when the backend and the attach file do not go together, or not with the scenario.
    """
    system = load_system(scenario.system.name)
    if scenario.system.replication is not None:
        system = replace(system, replication=scenario.system.replication)
    check_start(scenario.system.name, system, backend)
    attached = _attached(scenario, system, backend, at)
    if attached is None:
        return Resolved(system, topology_of(system), None, ())
    cannot = impossible(scenario, attached.file)
    return Resolved(system, attached_topology(attached.file), attached, cannot)


def _attached(scenario: Scenario, system: System, backend: str, at: Path | None) -> Attached | None:
    if (at is None) == (backend == "attach"):
        raise Refusal("--backend attach and --at FILE belong together: FILE says where it is")
    if at is None:
        return None
    if scenario.system.flaw is not None:
        raise Refusal("a system that runs already cannot be started with a flaw")
    return load_attachment(at, system)

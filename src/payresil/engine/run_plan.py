"""What one execution is to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from payresil.core.attachment import Attached
from payresil.core.scenario import Scenario
from payresil.core.system import System
from payresil.core.topology import Topology


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A scenario with its system resolved, where to run it and where to leave the record."""

    scenario: Scenario
    system: System
    topology: Topology
    backend: str
    folder: Path
    source: Path  # the scenario file, as the user named it
    warnings: tuple[str, ...] = ()
    imports: tuple[Path, ...] = ()  # files of the user, for the processes that need them
    at: Path | None = None  # the attach file, as the user named it
    attached: Attached | None = None  # what it says
    prometheus: str | None = None  # the address of one that watches the system, if it was named

"""Every known flaw of the reference service, the scenario that exposes it, and what must fire."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import load_system

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@dataclass(frozen=True, slots=True)
class Specimen:
    """One run: a scenario with a flaw and the check that must find it, or with none of both."""

    scenario: str  # a file under `SCENARIOS`, without its ending
    flaw: str | None = None
    check: str | None = None

    @property
    def name(self) -> str:
        """What it is called in the matrix."""
        return self.flaw or "(flawless)"

    @property
    def has_remedies(self) -> bool:
        """Whether operators act in it."""
        return bool(load_scenario(self.path).remedies)

    @property
    def path(self) -> Path:
        """The scenario's file."""
        return SCENARIOS / f"{self.scenario}.yaml"


def _name(path: Path) -> str:
    return str(path.relative_to(SCENARIOS).with_suffix(""))


#: The reference service in one region and in two; what the first is known for, the second is too.
SYSTEMS = ("refpay", "refpay-two-regions")

#: As the system files say, so that a user's run with a flaw is told the same.
FLAWED = tuple(
    Specimen(_name(SCENARIOS.parent / exposure.scenario), flaw, exposure.check)
    for flaw, exposure in {
        flaw: exposure
        for system in SYSTEMS
        for flaw, exposure in load_system(system).service.exposed_by.items()
    }.items()
)

FLAWLESS = tuple(
    Specimen(_name(path))
    for folder in ("gate", "rehearsal")
    for path in sorted((SCENARIOS / folder).glob("*.yaml"))
)

"""A scenario as a value: what to try, fully spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from payresil.core.system import Replication
from payresil.core.values import Duration, Rate

_WARM_UP = Duration(2.0)
_PATIENCE = Duration(10.0)
_TIMEOUT = Duration(3.0)


@dataclass(frozen=True, slots=True)
class SystemChoice:
    """Which system, and how it differs from its file."""

    name: str
    flaw: str | None = None
    replication: Replication | None = None  # None: as the system file has it


@dataclass(frozen=True, slots=True)
class Workload:
    """Customers: an open model, so arrivals keep coming whatever the system does."""

    rate: Rate
    duration: Duration  # of new arrivals, from the scenario's zero
    journeys: Mapping[str, int]  # name → weight
    warm_up: Duration = _WARM_UP  # before zero, judged for money only
    arrivals: Literal["poisson", "constant"] = "poisson"
    patience: Duration = _PATIENCE  # a customer gives up asking after this
    timeout: Duration = _TIMEOUT  # of one request


@dataclass(frozen=True, slots=True)
class FaultStep:
    """A fault on the timeline."""

    id: str  # psp_lost_answers, or psp_lost_answers.2 for the second one
    fault: str
    at: Duration  # from the scenario's zero
    duration: Duration
    parameters: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)  # file:line:column


@dataclass(frozen=True, slots=True)
class RemedyStep:
    """What operators do on the timeline. From `at` on they watch, and act when there is cause."""

    id: str  # failover, or failover.2 for the second one
    remedy: str
    at: Duration  # from the scenario's zero
    confirm: Duration | None = None  # how long a person takes to confirm; None: automatic
    parameters: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)  # file:line:column


@dataclass(frozen=True, slots=True)
class CheckStep:
    """A check and its objectives."""

    checker: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question and how it is put."""

    name: str
    claim: str
    system: SystemChoice
    seed: int
    workload: Workload
    faults: tuple[FaultStep, ...]
    checks: tuple[CheckStep, ...]
    remedies: tuple[RemedyStep, ...] = ()
    #: Where the file names each journey: file:line:column.
    journey_places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def windows(self) -> dict[str, tuple[Duration, Duration]]:
        """Planned start and end of every fault, from the scenario's zero."""
        return {
            step.id: (step.at, Duration(float(step.at) + float(step.duration)))
            for step in self.faults
        }

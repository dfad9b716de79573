"""What the checks of a scenario will want to know of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from payresil.core.registry import checkers
from payresil.core.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Questions:
    """Queries in PromQL and names of alerts, each with the place in the file that asks for it."""

    queries: Mapping[str, str]
    alerts: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.queries or self.alerts)


def questions_of(scenario: Scenario) -> Questions:
    """What is to be recorded for the checks to be judged by."""
    return Questions(dict(_given(scenario, "queries")), dict(_given(scenario, "alerts")))


def _given(scenario: Scenario, trait: str) -> Iterator[tuple[str, str]]:
    """What checks say in those parameters that their checker lists under `trait`."""
    for step in scenario.checks:
        for name in checkers.get(step.checker).traits.get(trait, ()):
            if step.parameters.get(name) is not None:
                yield str(step.parameters[name]), step.where

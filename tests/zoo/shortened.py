"""The same scenario in less time, judging money only: what a busy machine cannot spoil.

And the check that a flaw is to be caught by, whatever it judges.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.core.registry import checkers
from payresil.core.scenario import CheckStep, FaultStep, Scenario
from payresil.core.values import Duration

#: Traffic before the first fault, to compare with, and after the last one healed.
STEADY = Duration(4.0)
AFTER = Duration(3.0)
#: No fault needs longer to bite.
LONGEST_FAULT = Duration(5.0)
#: A scenario without faults goes on for this long.
FAULTLESS = Duration(8.0)
#: The bound of a money check is generous here: how soon a system settles is an objective.
PATIENT = Duration(30.0)


def shortened(scenario: Scenario, check: str | None = None) -> Scenario:
    """Its faults in the same order, as far apart as they were, none of them for long.

    `check` is kept beside those of money. One with remedies, which take their time, stays as long
    as it is.
    """
    kept = tuple(
        _patient(step) for step in scenario.checks if _is_money(step) or step.checker == check
    )
    if scenario.remedies:
        return replace(scenario, checks=kept)
    first_s = min((float(step.at) for step in scenario.faults), default=0.0)
    faults = tuple(_sooner(step, first_s) for step in scenario.faults)
    end_s = max((float(step.at) + float(step.duration) for step in faults), default=0.0)
    duration = Duration(end_s + float(AFTER)) if faults else FAULTLESS
    return replace(
        scenario,
        workload=replace(scenario.workload, duration=duration),
        faults=faults,
        checks=kept,
    )


def _sooner(step: FaultStep, first_s: float) -> FaultStep:
    at = Duration(float(STEADY) + float(step.at) - first_s)
    return replace(step, at=at, duration=min(step.duration, LONGEST_FAULT))


def _is_money(step: CheckStep) -> bool:
    return bool(checkers.get(step.checker).traits["kind"] == "money")


def _patient(step: CheckStep) -> CheckStep:
    bound = {"within": PATIENT} if step.parameters.get("within") is not None else {}
    return replace(step, parameters={**step.parameters, **bound})

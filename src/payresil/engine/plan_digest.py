"""What a seed replays, as a few digests: two runs of one plan have equal ones."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from payresil.core.plan import Plan
from payresil.core.scenario import Scenario
from payresil.core.schema import plain


def plan_digest(scenario: Scenario) -> dict[str, int | str]:
    """The seed, every arrival, and the schedules of faults and of remedies, if there are any.

    Each is one value to compare.
    """
    faults = [
        [step.id, step.fault, str(step.at), str(step.duration), plain(step.parameters)]
        for step in scenario.faults
    ]
    remedies = [
        [step.id, step.remedy, str(step.at), str(step.confirm), plain(step.parameters)]
        for step in scenario.remedies
    ]
    return {
        "seed": scenario.seed,
        "arrivals": Plan(scenario.seed, scenario.workload).digest(),
        "faults": _digest(faults),
        **({"remedies": _digest(remedies)} if remedies else {}),
    }


def _digest(schedule: list[Any]) -> str:
    written = json.dumps(schedule, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()

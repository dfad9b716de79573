"""What a seed replays, as a few digests: two runs of one plan have equal ones."""

from __future__ import annotations

import hashlib
import json

from payresil.core.plan import Plan
from payresil.core.scenario import Scenario
from payresil.core.schema import plain


def plan_digest(scenario: Scenario) -> dict[str, int | str]:
    """The seed, every arrival, and the schedule of faults, each as one value to compare."""
    faults = [
        [step.id, step.fault, str(step.at), str(step.duration), plain(step.parameters)]
        for step in scenario.faults
    ]
    written = json.dumps(faults, sort_keys=True, ensure_ascii=False)
    return {
        "seed": scenario.seed,
        "arrivals": Plan(scenario.seed, scenario.workload).digest(),
        "faults": hashlib.sha256(written.encode()).hexdigest(),
    }

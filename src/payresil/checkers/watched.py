"""What Prometheus was asked for a run, and whether it answered."""

from __future__ import annotations

from dataclasses import dataclass

from payresil.core.results import Doubt
from payresil.core.run import Run
from payresil.core.steps import steps


@dataclass(frozen=True, slots=True)
class Asked:
    """The moments, in run time, for which a question was answered."""

    from_ns: int
    to_ns: int
    step_ns: int
    rule_known: bool  # of an alert: whether Prometheus is known to have a rule for it
    rule_error: str | None  # of an alert: why its rule could not be evaluated

    def moments(self, start_ns: int, end_ns: int) -> int:
        """How many of them lie in a stretch, of which the end is no part."""
        start_ns, end_ns = max(start_ns, self.from_ns), min(end_ns, self.to_ns + 1)
        before = -((self.from_ns - start_ns) // self.step_ns)
        return max(0, -((self.from_ns - end_ns) // self.step_ns) - before)


def asked(run: Run, about: str, name: str) -> Asked | Doubt:
    """What the run recorded of a question; `about` is ``query`` or ``alert``."""
    found = steps(run, "prometheus")
    mine = [step for step in found if step.detail.get(about) == name]
    if not mine:
        reasons = [step.detail.get("error") for step in found if step.what == "none"]
        return Doubt(str(reasons[-1]) if reasons else "no Prometheus watched this run")
    last = mine[-1]
    if last.what != "answered":
        return Doubt(f"Prometheus gave no answer: {last.detail.get('error', 'no reason recorded')}")
    given = [last.detail.get(key) for key in ("from_ns", "to_ns", "step_ns")]
    times = [each for each in given if isinstance(each, int)]
    if len(times) < len(given) or times[-1] < 1:
        return Doubt("the run does not record for which moments Prometheus was asked")
    from_ns, to_ns, step_ns = times
    known = last.detail.get("rule_known") is True
    return Asked(from_ns, to_ns, step_ns, known, last.detail.get("rule_error"))

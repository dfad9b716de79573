"""Whether the traffic of a scenario can decide its objectives, worked out before it runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from payresil.core.intervals import rank_interval, trials_to_show
from payresil.core.scenario import Scenario
from payresil.core.values import Duration, Share

_PERCENTILE = re.compile(r"p([0-9]{2})\Z")


def phase_seconds(scenario: Scenario) -> dict[str, float]:
    """How long each phase with customers lasts after zero, as planned."""
    end_s = float(scenario.workload.duration)
    windows = [(float(start), float(end)) for start, end in scenario.windows().values()]
    marks = sorted({0.0, end_s, *(min(mark, end_s) for window in windows for mark in window)})
    seconds = {"steady": 0.0, "faulted": 0.0, "recovering": 0.0}
    for start_s, stop_s in itertools.pairwise(marks):
        seconds[phase_at(windows, (start_s + stop_s) / 2)] += stop_s - start_s
    return seconds


def phase_at(windows: list[tuple[float, float]], at_s: float) -> str:
    """The phase at a time after zero: faulted while any fault is active."""
    if any(start <= at_s < end for start, end in windows):
        return "faulted"
    return "recovering" if any(end <= at_s for _, end in windows) else "steady"


def too_few(scenario: Scenario) -> Iterator[str]:
    """Warnings about objectives that so few payments could only leave undecided.

    By what a parameter is: a share named like a phase, or a duration named like a percentile.
    """
    rate = float(scenario.workload.rate)
    payments = {name: rate * length for name, length in phase_seconds(scenario).items()}
    for step in scenario.checks:
        for name, value in step.parameters.items():
            phase = str(step.parameters.get("phase", "steady")) if name[:1] == "p" else name
            needed = _needed(name, value)
            if needed is not None and payments.get(phase, needed) < needed:
                yield (
                    f"{step.where}: {step.checker} cannot decide {name} {value}: about "
                    f"{payments[phase]:,.0f} payments are due while {phase}, and it takes "
                    f"{needed:,} even when all goes well"
                )


def _needed(name: str, value: Any) -> int | None:
    """The smallest sample that can meet an objective; None for what is no such objective."""
    percentile = _PERCENTILE.match(name)
    if isinstance(value, Duration) and percentile is not None:
        return _ranks_needed(int(percentile[1]) / 100)
    if isinstance(value, Share) and percentile is None and value < 1:
        return trials_to_show(float(value))
    return None


def _ranks_needed(quantile: float) -> int:
    """The smallest sample whose order statistics bound a percentile from above."""
    low, high = 1, 1
    while rank_interval(quantile, high)[1] is None:
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        if rank_interval(quantile, middle)[1] is None:
            low = middle + 1
        else:
            high = middle
    return low

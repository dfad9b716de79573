"""A share of counted things, held against an objective by its 95 % interval."""

from __future__ import annotations

from typing import Literal

from payresil.core.intervals import trials_to_show, wilson
from payresil.core.results import Doubt
from payresil.core.values import Share


def weigh(good: int, of: int, objective: Share) -> Literal["met", "missed", "undecided"]:
    """Met when all of the interval (Wilson) is at the objective or above, missed when all is below.

    100% is met by the count itself, since no sample could show it.
    """
    if float(objective) == 1 and good == of:
        return "met"
    low, high = wilson(good, of)
    if high < objective:
        return "missed"
    return "undecided" if low < objective else "met"


def too_few(said: str, good: int, of: int, objective: Share, things: str) -> Doubt:
    """That a share is undecided, and what it would take: so many `things`, all of them good."""
    low, high = wilson(good, of)
    needed = (
        f"it takes {trials_to_show(objective):,} {things}"
        if float(objective) < 1
        else ("a share this near to 100% would need an endless run")
    )
    return Doubt(
        f"{said}: too few to decide on {objective} "
        f"(95 % interval {low:.2%} to {high:.2%}); {needed}"
    )

"""What a scenario must obey beyond its types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from payresil.core import registry
from payresil.core.document import MapNode, Node
from payresil.core.problems import Place, Problem, nearest, shown

#: More intents than a run can record and judge on one machine.
MAX_INTENTS = 20_000_000

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}\Z")


def check_identity(node: MapNode, values: Mapping[str, Any], problems: list[Problem]) -> None:
    """A name that can be a folder's, a claim, and a seed that is not negative."""
    name = values.get("name")
    if name is not None and not _NAME.match(name):
        words = "up to 80 lower-case letters, digits, dashes and dots, since it names a folder"
        problems.append(Problem(place_of(node, "name"), shown(name), words))
    if values.get("claim") is not None and not values["claim"].strip():
        problems.append(Problem(place_of(node, "claim"), "nothing", "what the scenario claims"))
    if values.get("seed", 0) < 0:
        words = "a whole number from 0 on"
        problems.append(Problem(place_of(node, "seed"), str(values["seed"]), words))


def check_workload(node: Node, values: Mapping[str, Any], problems: list[Problem]) -> None:
    """Traffic that is there, is bounded, and follows journeys that exist."""
    problems.extend(
        Problem(place_of(node, key), str(values[key]), "more than zero")
        for key in ("rate", "duration", "patience", "timeout")
        if key in values and float(values[key]) <= 0
    )
    if "rate" in values and "duration" in values:
        seconds = float(values["duration"]) + float(values.get("warm_up", 0))
        intents = float(values["rate"]) * seconds
        if intents > MAX_INTENTS:
            words = f"at most {MAX_INTENTS:,} intents in a run"
            problems.append(Problem(place_of(node, "rate"), f"{intents:,.0f} intents", words))
    if "journeys" in values:
        _check_journeys(node, values["journeys"], problems)


def _check_journeys(node: Node, weights: Mapping[str, int], problems: list[Problem]) -> None:
    known = registry.journeys.names()
    if not weights:
        where = place_of(node, "journeys")
        problems.append(Problem(where, "no journeys", f"weights of {', '.join(known)}"))
    for name, weight in weights.items():
        where = place_of(node, "journeys", name, key=name not in known)
        if name not in known:
            words = f"a journey: {', '.join(known)}"
            problems.append(Problem(where, shown(name), words, nearest(name, known)))
        elif weight < 1:
            problems.append(Problem(where, str(weight), "a weight of at least 1"))


def place_of(node: Node, *keys: str, key: bool = False) -> Place:
    """Where the value under `keys` begins, or, with `key`, the last of the keys."""
    place = node.where
    for name in keys:
        entry = node.get(name) if isinstance(node, MapNode) else None
        if entry is None:
            return place
        node, place = entry.value, entry.where
    return place if key else node.where

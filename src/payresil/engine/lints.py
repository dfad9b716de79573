"""Lints of the experiment itself: what is well written and still would prove nothing.

Each rule is one function. A warning says what will be missing from the evidence; what cannot
work on this system at all is an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import get_args

from payresil.core import registry
from payresil.core.problems import InvalidScenario, Place, Problem, nearest, shown
from payresil.core.scalars import selector_kind
from payresil.core.scenario import FaultStep, Scenario
from payresil.core.schema import Field, parameters_of
from payresil.core.schemas import SCHEMAS
from payresil.core.system import System
from payresil.core.topology import Link, Node, SelectorError, Topology
from payresil.core.values import Duration
from payresil.engine.regional_lints import (
    RULES_OF_REGIONS,
    impossible_in_regions,
    lacks_regions,
)
from payresil.engine.sample_size import too_few
from payresil.engine.system_rules import OPERATIONS
from payresil.faults.evidence import AFTERMATH, Seen, seen_over

#: Less traffic than this after the last heal shows no recovery.
MIN_RECOVERY = Duration(5.0)
#: Less traffic than this before the first fault is no baseline.
MIN_STEADY = Duration(3.0)

#: A fault of a link or a node that is active for less than this apart from others shows nothing.
MIN_ALONE = Duration(1.0)

_DELAYS = ("latency", "delay")

#: Where the harness itself stands for the customers: no node that could be held.
_CUSTOMERS = "customers"

#: What a system file may leave out and a check may have to know.
_DESCRIBED = {
    "signals": "the names of its metrics",
    "logs": "the names of the fields of its log lines",
}

#: What a topology may lack and a check may need.
_TOPOLOGIES = {
    "replication": "a topology with a replicated database",
    "regions": "a topology of several regions",
}

Warnings = Iterator[str]


def lint(scenario: Scenario, system: System, topology: Topology) -> tuple[str, ...]:
    """Warnings about a scenario that is to run on this system.

    Raises:
        InvalidScenario: when a check, a fault or a journey needs what the system does not have.
    """
    problems = [
        *_missing_needs(scenario, system, topology),
        *_missing_operations(scenario, system),
        *_selectors(scenario, system, topology),
        *impossible_in_regions(scenario, system, topology),
    ]
    if problems:
        raise InvalidScenario(problems)
    rules: tuple[Callable[[Scenario, System, Topology], Warnings], ...] = (
        _outside_the_run,
        _unused_links,
        _nothing_tried_twice,
        _no_time_out_notices,
        _no_recovery,
        _no_baseline,
        _held_already,
        _never_alone,
        *RULES_OF_REGIONS,
    )
    found = [words for rule in rules for words in rule(scenario, system, topology)]
    return (*found, *too_few(scenario))


def _missing_needs(scenario: Scenario, system: System, topology: Topology) -> Iterator[Problem]:
    lacking = _lacking(system, topology)
    known = {*SCHEMAS, *_TOPOLOGIES, *_DESCRIBED}
    for step in scenario.checks:
        for need in registry.checkers.get(step.checker).traits.get("needs", ()):
            where, read = Place.parse(step.where), f"{step.checker} on {system.name}"
            if need in lacking:
                yield Problem(where, read, lacking[need])
            elif need not in known:
                words = f"a check whose needs are tables or parts of a system, not {need!r}"
                yield Problem(where, read, words, nearest(need, known))


def _lacking(system: System, topology: Topology) -> dict[str, str]:
    """What checks may need and this system does not have, with what would give it."""
    books = [name for name in SCHEMAS if name.startswith("books_") and name not in system.books]
    described = [part for part in _DESCRIBED if getattr(system, part) is None]
    replicated = any(x.source.role == x.target.role == "db" for x in topology.links)
    regions = len({node.region for node in topology.nodes if node.region is not None})
    there = {"replication": replicated, "regions": regions > 1}
    return {
        **{name: f"the table {name} under `books` in the system file" for name in books},
        **{part: f"`{part}` in the system file, {_DESCRIBED[part]}" for part in described},
        **{name: words for name, words in _TOPOLOGIES.items() if not there[name]},
    }


def _missing_operations(scenario: Scenario, system: System) -> Iterator[Problem]:
    for name in scenario.workload.journeys:
        where, read = Place.parse(scenario.journey_places.get(name, "")), f"{name} on {system.name}"
        for need in registry.journeys.get(name).traits.get("needs", ()):
            if need not in OPERATIONS:
                words = f"a journey whose needs are operations, not {need!r}"
                yield Problem(where, read, words, nearest(need, OPERATIONS))
            elif need not in system.api.operations:
                words = f"the operation {need} under `api.operations` in the system file"
                yield Problem(where, read, words)


def _selectors(scenario: Scenario, system: System, topology: Topology) -> Iterator[Problem]:
    for step, kind, text in _all_selectors(scenario):
        if lacks_regions(registry.faults.get(step.fault), system):
            continue  # which is the one thing to be told of it
        try:
            (topology.select_links if kind == "link" else topology.select_nodes)(text)
        except SelectorError:
            found = topology.links if kind == "link" else topology.nodes
            names = sorted({_short(str(one)) for one in found})
            words = f"a {kind} of this topology: {', '.join(names)}"
            yield Problem(Place.parse(step.where), shown(text), words, nearest(text, names))
            continue
        if kind == "node" and Node.parse(text).role == _CUSTOMERS:
            words = "a node of the system under test; customers are the harness's own"
            yield Problem(Place.parse(step.where), shown(text), words)


def _short(name: str) -> str:
    """A name without region and number, as selectors are mostly written."""
    ends = [end.rsplit("/", 1)[-1].split(".")[0] for end in name.split("->")]
    return "->".join(ends)


def _all_selectors(scenario: Scenario) -> Iterator[tuple[FaultStep, str, str]]:
    """What faults name of nodes and links: the fault, ``node`` or ``link``, the selector."""
    for step in scenario.faults:
        for field in parameters_of(registry.faults.get(step.fault).call):
            value = step.parameters.get(field.name)
            kind = _kind(field)
            if kind in ("node", "link") and value is not None:
                texts = [value] if isinstance(value, str) else value
                yield from ((step, kind, text) for text in texts)


def _kind(field: Field) -> str | None:
    """``node``, ``link``, … where the parameter, or each item of it, is a selector."""
    kinds = (selector_kind(each) for each in (field.annotation, *get_args(field.annotation)))
    return next((kind for kind in kinds if kind is not None), None)


def _outside_the_run(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    end = scenario.workload.duration
    for step in scenario.faults:
        if step.at >= end:
            yield f"{step.where}: {step.id} starts at {step.at}, after the last customer ({end})"
        elif step.duration > end:
            yield f"{step.where}: {step.id} lasts {step.duration}, longer than the run ({end})"
        elif step.at + step.duration > end:
            last = Duration(step.at + step.duration)
            yield f"{step.where}: {step.id} goes on until {last}, beyond the last customer ({end})"


def _unused_links(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    for step, kind, text in _all_selectors(scenario):
        if kind == "link" and not any(_used(x, system) for x in topology.select_links(text)):
            yield f"{step.where}: no traffic uses {text}, so {step.id} cannot bite"


def _used(link: Link, system: System) -> bool:
    """Whether payments make traffic on a link: all but webhooks that nobody listens to."""
    return link.source.role != "psp" or system.webhook_path is not None


def _nothing_tried_twice(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    journeys = [registry.journeys.get(name) for name in scenario.workload.journeys]
    if any(member.traits.get("retries") for member in journeys):
        return
    for step in scenario.checks:
        if step.checker == "idempotency":
            names = ", ".join(member.name for member in journeys)
            yield f"{step.where}: idempotency is checked, but no customer tries again ({names})"


def _no_time_out_notices(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    delays = [
        (
            Duration(sum(float(step.parameters.get(name) or 0) for name in (*_DELAYS, "jitter"))),
            step,
        )
        for step in scenario.faults
        if any(isinstance(step.parameters.get(name), Duration) for name in _DELAYS)
        and not registry.is_unfelt(step.id)
    ]
    if not delays or len(delays) < len(scenario.faults):
        return  # where something else breaks too, a delay may be there only to set the stage
    longest, step = max(delays, key=lambda pair: pair[0])
    if scenario.workload.timeout > longest:
        yield (
            f"{step.where}: customers wait {scenario.workload.timeout} for an answer, longer than "
            f"every injected delay (at most {longest}): no time-out of theirs is put to the test"
        )


def _no_recovery(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    end = scenario.workload.duration
    healing = [step for step in scenario.faults if step.at < end]
    if not healing:
        return
    last = max(healing, key=lambda step: step.at + step.duration)
    left = float(end) - float(last.at) - float(last.duration)
    if left < MIN_RECOVERY:
        yield (
            f"{last.where}: {Duration(max(left, 0.0))} of traffic are left after {last.id} heals, "
            f"too little to see a recovery (at least {MIN_RECOVERY})"
        )


def _no_baseline(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    if not scenario.faults:
        return
    first = min(scenario.faults, key=lambda step: step.at)
    objectives = [
        step.checker
        for step in scenario.checks
        if registry.checkers.get(step.checker).traits.get("kind") == "objective"
    ]
    if objectives and first.at < MIN_STEADY:
        yield (
            f"{first.where}: {first.id} starts at {first.at}, so {', '.join(objectives)} have no "
            f"steady phase to compare with (at least {MIN_STEADY})"
        )


def _held_already(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    """Of two faults that hold a node at one time, the later one finds it held."""
    windows = scenario.windows()
    nodes = [
        (step, set(topology.select_nodes(text)))
        for step, kind, text in _all_selectors(scenario)
        if kind == "node" and not registry.is_unfelt(step.id)
    ]
    for (one, held), (two, wanted) in itertools.combinations(nodes, 2):
        earlier, later = sorted((one, two), key=lambda step: step.at)
        if one is not two and held & wanted and later.at < windows[earlier.id][1]:
            names = ", ".join(str(node) for node in sorted(held & wanted))
            yield (
                f"{later.where}: {names} is held by {earlier.id} when {later.id} starts, so "
                f"{later.id} may do nothing there"
            )


def _never_alone(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    """What a link or node fault did is told by the time in which nothing else disturbs it."""
    selected = {step.id for step, _, _ in _all_selectors(scenario)}
    for step in scenario.faults:
        if step.id not in selected or registry.is_unfelt(step.id):
            continue  # told by the requests that a rule of the PSP touched, or by standbys
        seen = _seen(scenario, step)
        alone_s = max(_longest_alone_s(scenario, step, each) for each in seen)
        if alone_s < min(MIN_ALONE, step.duration):
            yield (
                f"{step.where}: {step.id} is active for {Duration(alone_s)} at a stretch apart "
                f"from other faults and the {AFTERMATH} after them, too little to tell what it "
                f"did (at least {MIN_ALONE})"
            )


def _longest_alone_s(scenario: Scenario, step: FaultStep, seen: Seen) -> float:
    """The longest stretch in which a fault is active and no other one is felt."""
    start_s, stop_s = (float(mark) for mark in scenario.windows()[step.id])
    longest_s = 0.0
    for other in sorted(scenario.faults, key=lambda each: each.at):
        if other is step or seen not in _seen(scenario, other):
            continue
        longest_s = max(longest_s, min(float(other.at), stop_s) - start_s)
        start_s = max(start_s, float(other.at) + float(other.duration) + float(AFTERMATH))
    return round(max(longest_s, stop_s - start_s), 6)


def _seen(scenario: Scenario, step: FaultStep) -> tuple[Seen, ...]:
    if registry.is_unfelt(step.id):
        return ()
    return seen_over(
        [text for each, kind, text in _all_selectors(scenario) if each is step and kind == "link"]
    )

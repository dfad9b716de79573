"""Lints of faults and remedies of regions: what cannot work, and what would prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from payresil.core import registry
from payresil.core.problems import Place, Problem, nearest, shown
from payresil.core.registry import Member
from payresil.core.scalars import selector_kind
from payresil.core.scenario import FaultStep, RemedyStep, Scenario
from payresil.core.schema import parameters_of
from payresil.core.system import System
from payresil.core.topology import Node, SelectorError, Topology
from payresil.core.values import Duration
from payresil.faults.region_borders import between, neighbours, regions_of

#: The remedy by which another region takes over, and the fault that asks for it.
_FAILOVER, _LOSS = "failover", "region_loss"

_PARTITION, _RESTORE = "region_partition", "restore"
_DATABASE = "db"

#: Faults of standbys, which customers need not notice, and the parameter that says of which.
_OF_STANDBYS = {
    "replication_lag": "standby",
    "replication_pause": "standby",
    "standby_loss": "node",
}

Warnings = Iterator[str]


def impossible_in_regions(
    scenario: Scenario, system: System, topology: Topology
) -> Iterator[Problem]:
    """Faults and remedies of regions on a system of one, regions that there are not, and more."""
    for step, member in _steps(scenario):
        where = Place.parse(step.where)
        if lacks_regions(member, system):
            read = f"{member.name} on {system.name}"
            yield Problem(where, read, "a system of several regions")
            continue
        for kind, name in _named(step, member):
            words, known = _known(kind, step, topology)
            if name not in known:
                expected = f"{words}: {', '.join(known)}"
                yield Problem(where, shown(name), expected, nearest(name, known))
        yield from _no_standby(step, where, system, topology)
    if system.regions is not None:
        yield from _nothing_to_cut(scenario, topology)
        yield from _already_active(scenario, system.regions.active)
        yield from _before_the_backup(scenario)


def _nothing_to_cut(scenario: Scenario, topology: Topology) -> Iterator[Problem]:
    """Regions that no link connects cannot be told apart."""
    known = regions_of(topology)
    for step in scenario.faults:
        if step.fault != _PARTITION:
            continue
        region, others = step.parameters["region"], step.parameters["others"]
        _, places = _known("place", step, topology)
        if region not in known or not set(others) <= set(places):
            continue  # they are refused by their names
        if not between(topology, region, others):
            there = ", ".join(neighbours(topology, region))
            read = f"{', '.join(others)}, to which region {region} has no link"
            yield Problem(Place.parse(step.where), read, f"others that it has links to: {there}")


def _already_active(scenario: Scenario, active: str) -> Iterator[Problem]:
    """The first failover to be started cannot be to the region that takes payments."""
    moves = [step for step in scenario.remedies if step.parameters.get("to", active) != active]
    for step in scenario.remedies:
        if step.remedy != _FAILOVER or step.parameters.get("to") != active:
            continue
        if not any(each.at < step.at for each in moves):
            read = f"failover to {active}, which takes payments at {step.at}"
            words = (
                "another region, or a later time than that of a remedy that leads to another one"
            )
            yield Problem(Place.parse(step.where), read, words)


def _before_the_backup(scenario: Scenario) -> Iterator[Problem]:
    """The base backup is taken before the warm-up: of earlier than that there is nothing."""
    for step in scenario.remedies:
        ago = step.parameters.get("ago")
        if step.remedy != _RESTORE or not isinstance(ago, Duration):
            continue
        most = Duration(scenario.workload.warm_up + step.at + (step.confirm or 0.0))
        if ago > most:
            read = f"ago {ago}, when the system has run for {most}"
            yield Problem(Place.parse(step.where), read, f"at most {most}, or a later restore")


def lacks_regions(member: Member, system: System) -> bool:
    """Whether a fault or a remedy needs several regions, and the system has one."""
    return system.regions is None and "regions" in member.traits.get("needs", ())


def _steps(scenario: Scenario) -> Iterator[tuple[FaultStep | RemedyStep, Member]]:
    yield from ((step, registry.faults.get(step.fault)) for step in scenario.faults)
    yield from ((step, registry.remedies.get(step.remedy)) for step in scenario.remedies)


def _named(step: FaultStep | RemedyStep, member: Member) -> Iterator[tuple[str, str]]:
    """Every region or place that a step names: ``region`` or ``place``, and the name."""
    for field in parameters_of(member.call):
        value = step.parameters.get(field.name)
        for annotation in (field.annotation, *get_args(field.annotation)):
            kind = selector_kind(annotation)
            if kind in ("region", "place"):
                names = [value] if isinstance(value, str) else value or ()
                yield from ((kind, name) for name in names)


def _known(kind: str, step: FaultStep | RemedyStep, topology: Topology) -> tuple[str, list[str]]:
    """What there is to name, and what it is.

    A remedy acts on a region that takes payments; a fault on any, the third place included.
    """
    if kind == "place":
        crossing = [x for x in topology.links if x.source.region != x.target.region]
        ends = {end for link in crossing for end in (link.source, link.target)}
        return "a region, or what is outside of any", sorted({x.region or x.role for x in ends})
    if isinstance(step, RemedyStep):
        regions = {node.region for node in topology.nodes if node.role == "service"}
        return "a region that takes payments", sorted(filter(None, regions))
    return "a region", regions_of(topology)


def _no_standby(
    step: FaultStep | RemedyStep, where: Place, system: System, topology: Topology
) -> Iterator[Problem]:
    """A fault of a standby that names something else: customers would notice, unseen by a check."""
    parameter = _OF_STANDBYS.get(step.fault) if isinstance(step, FaultStep) else None
    selector = None if parameter is None else step.parameters.get(parameter)
    if selector is None or system.regions is None:
        return
    try:
        selected = topology.select_nodes(selector)
    except SelectorError:
        return  # which is told of elsewhere
    primary = Node(system.regions.active, _DATABASE)
    standbys = [x for x in topology.nodes if x.role == _DATABASE and x != primary]
    if any(node not in standbys for node in selected):
        names = ", ".join(map(str, standbys))
        words = f"a standby, {names}; for {primary}, the primary, crash, partition or latency"
        yield Problem(where, shown(selector), words)


def _remedy_comes_too_late(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    end = scenario.workload.duration
    for step in scenario.remedies:
        if step.at >= end:
            yield f"{step.where}: {step.id} starts at {step.at}, after the last customer ({end})"


def _nobody_takes_over(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    if system.regions is None or any(step.remedy == _FAILOVER for step in scenario.remedies):
        return
    for step in scenario.faults:
        region = step.parameters.get("region")
        if step.fault == _LOSS and region == system.regions.active:
            yield (
                f"{step.where}: {step.id} takes region {region}, which takes the payments, and no "
                f"failover has region {system.regions.standby} take over"
            )


def _objective_before_action(scenario: Scenario, system: System, topology: Topology) -> Warnings:
    """Operators who have not even decided when the objective is over cannot meet it."""
    objectives = [
        (check, rto)
        for check in scenario.checks
        if isinstance(rto := check.parameters.get("rto"), Duration)
    ]
    for step in scenario.remedies:
        detect_after = step.parameters.get("detect_after")
        if step.remedy != _FAILOVER or not isinstance(detect_after, Duration):
            continue
        least = Duration(detect_after + (step.confirm or 0.0))
        for check, rto in objectives:
            if rto <= least:
                yield (
                    f"{check.where}: {check.checker} wants rto {rto}, and {step.id} is decided "
                    f"{least} after the failure at the earliest"
                )


RULES_OF_REGIONS: tuple[Callable[[Scenario, System, Topology], Warnings], ...] = (
    _remedy_comes_too_late,
    _nobody_takes_over,
    _objective_before_action,
)

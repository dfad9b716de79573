"""Scenario files: from YAML to a Scenario with every default filled in, and back.

Strict, because a misspelt objective that is ignored is an objective that always passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from payresil.core.document import ListNode, MapNode, Node, Scalar, describe, read_document
from payresil.core.problems import InvalidScenario, Place, Problem, nearest, shown
from payresil.core.scenario import RemedyStep, Scenario, SystemChoice, Workload
from payresil.core.schema import Field, Raw, fields_of, plain, read_partly
from payresil.engine.scenario_rules import check_identity, check_workload, place_of
from payresil.engine.scenario_steps import read_checks, read_faults, read_remedies
from payresil.engine.system_file import list_flaws, load_system, no_system, system_path

__all__ = ["InvalidScenario", "dump_scenario", "load_scenario"]

_SYSTEM = Raw("the name of a system, or {<name>: {flaw: <flaw>, replication: <mode>}}")
_CHOICE = tuple(field for field in fields_of(SystemChoice) if field.name != "name")
_FIELDS = (
    Field("name", str),
    Field("claim", str),
    Field("system", _SYSTEM),
    Field("seed", int, 0),
    Field("workload", Raw(f"a mapping with {', '.join(f.name for f in fields_of(Workload))}")),
    Field("faults", Raw("a list of faults"), None),
    Field("remedies", Raw("a list of remedies"), None),
    Field("checks", Raw("a list of checks")),
)


def load_scenario(
    path: Path, *, flaw: str | None = None, seed: int | None = None, recorded: bool = False
) -> Scenario:
    """Read a scenario file. `flaw` and `seed`, where given, take the place of the file's.

    `recorded` is for the copy in a run folder, which must be readable where the system's file
    is not: neither the system nor its flaw is looked up.

    Raises:
        InvalidScenario: with every problem of the file, each with its place.
    """
    problems: list[Problem] = []
    document = read_document(path, problems)
    if document is None:
        raise InvalidScenario(problems)
    values = read_partly(document, _FIELDS, problems)
    check_identity(document, values, problems)
    workload = _workload(values.get("workload"), problems)
    faults = read_faults(values.get("faults"), problems)
    remedies = read_remedies(values.get("remedies"), problems)
    checks = read_checks(values.get("checks"), problems)
    system = _system(values.get("system"), problems)
    if system is not None:
        system = replace(system, flaw=flaw or system.flaw)
        if not recorded:
            system = _resolve(system, values["system"], path, flaw, problems)
    if problems or system is None or workload is None:
        raise InvalidScenario(problems)
    return Scenario(
        name=values["name"],
        claim=values["claim"],
        system=system,
        seed=values["seed"] if seed is None else seed,
        workload=workload,
        faults=faults,
        checks=checks,
        remedies=remedies,
        journey_places={
            name: str(place_of(values["workload"], "journeys", name, key=True))
            for name in workload.journeys
        },
    )


def dump_scenario(scenario: Scenario) -> str:
    """The scenario as YAML, defaults filled in; `load_scenario` gives an equal one."""
    return yaml.safe_dump(_as_written(scenario), sort_keys=False, allow_unicode=True, width=100)


def _as_written(scenario: Scenario) -> dict[str, Any]:
    chosen = {
        name: value
        for name in ("flaw", "replication")
        if (value := getattr(scenario.system, name)) is not None
    }
    system: Any = {scenario.system.name: chosen} if chosen else scenario.system.name
    return {
        "name": scenario.name,
        "claim": scenario.claim,
        "system": system,
        "seed": scenario.seed,
        "workload": plain(scenario.workload),
        "faults": [
            {"at": str(step.at), "duration": str(step.duration), step.fault: plain(step.parameters)}
            for step in scenario.faults
        ],
        **(
            {"remedies": list(map(_remedy_as_written, scenario.remedies))}
            if scenario.remedies
            else {}
        ),
        "checks": [_check_as_written(step.checker, step.parameters) for step in scenario.checks],
    }


def _remedy_as_written(step: RemedyStep) -> dict[str, Any]:
    confirm = {} if step.confirm is None else {"confirm": str(step.confirm)}
    return {"at": str(step.at), **confirm, step.remedy: plain(step.parameters)}


def _check_as_written(name: str, parameters: Mapping[str, Any]) -> Any:
    return {name: plain(parameters)} if parameters else name


def _workload(node: Node | None, problems: list[Problem]) -> Workload | None:
    if node is None:
        return None
    fields = fields_of(Workload)
    values = read_partly(node, fields, problems)
    check_workload(node, values, problems)
    return Workload(**values) if len(values) == len(fields) else None


def _system(node: Node | None, problems: list[Problem]) -> SystemChoice | None:
    """Which system, from ``name`` or ``{name: {flaw: …, replication: …}}``."""
    if isinstance(node, Scalar) and not node.empty:
        return SystemChoice(node.text)
    if isinstance(node, MapNode) and len(node.entries) == 1:
        entry = node.entries[0]
        values = read_partly(entry.value, _CHOICE, problems)
        return SystemChoice(entry.key, **values)
    if isinstance(node, Scalar | MapNode | ListNode):
        problems.append(Problem(node.where, describe(node), _SYSTEM.words))
    return None


def _resolve(
    choice: SystemChoice,
    node: Node,
    path: Path,
    flaw: str | None,
    problems: list[Problem],
) -> SystemChoice:
    """The choice with its file found; a path becomes absolute, so that copies stay readable."""
    where = node.entries[0].where if isinstance(node, MapNode) else node.where
    found = system_path(choice.name, beside=path.parent)
    if found is None:
        problems.append(no_system(choice.name, where))
        return choice
    if choice.name.endswith((".yaml", ".yml")):
        choice = replace(choice, name=str(found.resolve()))
    if choice.flaw is not None:
        place = where if flaw is None else Place("--flaw")
        problems.extend(_flaw_problems(choice.name, choice.flaw, place))
    if choice.replication is not None and isinstance(node, MapNode):
        place = place_of(node, node.entries[0].key, "replication", key=True)
        problems.extend(_replication_problems(choice.name, place))
    return choice


def _flaw_problems(name: str, flaw: str, where: Place) -> list[Problem]:
    try:
        known = list_flaws(load_system(name))
    except InvalidScenario as error:
        return list(error.problems)
    if flaw in known:
        return []
    words = f"a flaw of {name}: {', '.join(sorted(known)) or 'it has none'}"
    return [Problem(where, shown(flaw), words, nearest(flaw, known))]


def _replication_problems(name: str, where: Place) -> list[Problem]:
    try:
        regions = load_system(name).regions
    except InvalidScenario as error:
        return list(error.problems)
    if regions is not None:
        return []
    words = f"no replication: {name} has one region, with one database"
    return [Problem(where, "the key replication", words)]

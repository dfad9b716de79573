"""The faults, remedies and checks of a scenario file, read by the signatures of their members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payresil.core import registry
from payresil.core.document import Entry, ListNode, MapNode, Node, Refused, Scalar, describe
from payresil.core.problems import Problem, nearest, shown
from payresil.core.registry import Member, OpenSet
from payresil.core.scalars import SchemaError
from payresil.core.scenario import CheckStep, FaultStep, RemedyStep
from payresil.core.schema import REQUIRED, Field, parameters_of, read_fields, read_partly
from payresil.core.values import Duration
from payresil.engine.scenario_rules import place_of


@dataclass(frozen=True, slots=True)
class _Kind:
    """What stands on a timeline: a set of members, and the fields beside the member's name."""

    members: Callable[[], OpenSet]  # asked each time: the set may be replaced
    fields: tuple[Field, ...]
    what: str  # one, in words
    several: str
    example: str
    alone: str  # why there is one in a step

    @property
    def required(self) -> set[str]:
        return {field.name for field in self.fields if field.default is REQUIRED}


_FAULT = _Kind(
    lambda: registry.faults,
    (Field("at", Duration), Field("duration", Duration)),
    "a fault",
    "a list of faults",
    "a fault such as {at: 10s, duration: 5s, <fault>: {<parameters>}}",
    "one fault in a step; overlapping faults are steps of their own",
)
_REMEDY = _Kind(
    lambda: registry.remedies,
    (Field("at", Duration), Field("confirm", Duration | None, None)),
    "a remedy",
    "a list of remedies",
    "a remedy such as {at: 0s, confirm: 5s, <remedy>: {<parameters>}}",
    "one remedy in a step; others are steps of their own",
)


def read_faults(node: Node | None, problems: list[Problem]) -> tuple[FaultStep, ...]:
    """The steps of the timeline that could be read; the second of a kind is called ``<kind>.2``."""
    return tuple(
        FaultStep(step.id, step.name, parameters=step.parameters, where=step.where, **step.when)
        for step in _timed(node, _FAULT, problems)
    )


def read_remedies(node: Node | None, problems: list[Problem]) -> tuple[RemedyStep, ...]:
    """The remedies that could be read; the second of a kind is called ``<kind>.2``."""
    return tuple(
        RemedyStep(step.id, step.name, parameters=step.parameters, where=step.where, **step.when)
        for step in _timed(node, _REMEDY, problems)
    )


def read_checks(node: Node | None, problems: list[Problem]) -> tuple[CheckStep, ...]:
    """The checks that could be read. A scenario without any judges nothing, which is a problem."""
    steps: list[CheckStep] = []
    items = _items(node, "a list of checks", problems)
    if node is not None and not items and not isinstance(node, Refused):
        problems.append(Problem(node.where, "no checks", "at least one check"))
    for item in items:
        step = _check(item, problems)
        if step is None:
            continue
        if step in steps:
            problems.append(Problem(item.where, f"{step.checker} again", "each check once"))
        steps.append(step)
    return tuple(steps)


def _items(node: Node | None, words: str, problems: list[Problem]) -> tuple[Node, ...]:
    if isinstance(node, ListNode):
        return node.items
    if isinstance(node, Scalar) and node.empty:
        return ()
    if isinstance(node, Scalar | MapNode):
        problems.append(Problem(node.where, describe(node), words))
    return ()


@dataclass(frozen=True, slots=True)
class _Timed:
    """One step of a timeline as it was read."""

    id: str
    name: str
    when: dict[str, Any]
    parameters: dict[str, Any]
    where: str


def _timed(node: Node | None, kind: _Kind, problems: list[Problem]) -> list[_Timed]:
    steps: list[_Timed] = []
    count: Counter[str] = Counter()
    for item in _items(node, kind.several, problems):
        step = _one(item, kind, count, problems)
        if step is not None:
            steps.append(step)
    return steps


def _one(node: Node, kind: _Kind, count: Counter[str], problems: list[Problem]) -> _Timed | None:
    known = kind.members().names()
    if not isinstance(node, MapNode):
        if not isinstance(node, Refused):
            problems.append(Problem(node.where, describe(node), kind.example))
        return None
    before = len(problems)
    when = read_partly(node, kind.fields, problems, besides=known)
    timing = [field.name for field in kind.fields]
    chosen = [entry for entry in node.entries if entry.key in known]
    unknown = [entry for entry in node.entries if entry.key not in (*known, *timing)]
    if not chosen and not unknown:
        read = f"a step without {kind.what}"
        problems.append(Problem(node.where, read, f"{kind.what}: {', '.join(known)}"))
    problems.extend(
        Problem(entry.where, f"{entry.key} besides {chosen[0].key}", kind.alone)
        for entry in chosen[1:]
    )
    values = [_parameters(kind.members().get(each.key), each, problems) for each in chosen]
    if "duration" in when and float(when["duration"]) <= 0:
        problems.append(Problem(node.where, str(when["duration"]), "a duration above zero"))
    if len(problems) > before or len(values) != 1 or not kind.required <= when.keys():
        return None
    name = chosen[0].key
    count[name] += 1
    step = name if count[name] == 1 else f"{name}.{count[name]}"
    return _Timed(step, name, when, values[0] or {}, str(node.where))


def _check(node: Node, problems: list[Problem]) -> CheckStep | None:
    """One check, from ``name`` or ``{name: {parameters}}``."""
    if isinstance(node, Scalar) and not node.empty:
        node = MapNode(node.where, (Entry(node.where, node.text, MapNode(node.where, ())),))
    if isinstance(node, Refused):
        return None
    if not isinstance(node, MapNode) or len(node.entries) != 1:
        read = "several keys" if isinstance(node, MapNode) and node.entries else describe(node)
        words = "a check: its name, or {<name>: {<parameters>}}"
        problems.append(Problem(node.where, read, words))
        return None
    entry = node.entries[0]
    known = registry.checkers.names()
    if entry.key not in known:
        words = f"a check: {', '.join(known)}"
        near = nearest(entry.key, known)
        problems.append(Problem(entry.where, shown(entry.key), words, near))
        return None
    values = _parameters(registry.checkers.get(entry.key), entry, problems)
    return None if values is None else CheckStep(entry.key, values, str(node.where))


def _parameters(member: Member, entry: Entry, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        values = read_fields(entry.value, parameters_of(member.call), problems)
    except SchemaError as error:
        read = f"{member.name}, which is wrongly written"
        problems.append(Problem(entry.where, read, f"parameters that YAML can express ({error})"))
        return None
    bounds = member.traits.get("bounds")
    if values is not None and bounds is not None:
        for name, words in bounds(values):
            read = f"no {name}" if values[name] is None else shown(str(values[name]))
            problems.append(Problem(place_of(entry.value, name), read, words))
    return values

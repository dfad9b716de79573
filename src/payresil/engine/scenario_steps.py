"""The faults and the checks of a scenario file, by the signatures of the members they name."""

from __future__ import annotations

from collections import Counter
from typing import Any

from payresil.core import registry
from payresil.core.document import Entry, ListNode, MapNode, Node, Refused, Scalar, describe
from payresil.core.problems import Problem, nearest, shown
from payresil.core.registry import Member
from payresil.core.scalars import SchemaError
from payresil.core.scenario import CheckStep, FaultStep
from payresil.core.schema import Field, parameters_of, read_fields, read_partly
from payresil.core.values import Duration
from payresil.engine.scenario_rules import place_of

_WHEN = (Field("at", Duration), Field("duration", Duration))
_STEP = "a fault such as {at: 10s, duration: 5s, <fault>: {<parameters>}}"


def read_faults(node: Node | None, problems: list[Problem]) -> tuple[FaultStep, ...]:
    """The steps of the timeline that could be read; the second of a kind is called ``<kind>.2``."""
    steps = []
    count: Counter[str] = Counter()
    for item in _items(node, "a list of faults", problems):
        step = _fault(item, count, problems)
        if step is not None:
            steps.append(step)
    return tuple(steps)


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


def _fault(node: Node, count: Counter[str], problems: list[Problem]) -> FaultStep | None:
    known = registry.faults.names()
    if not isinstance(node, MapNode):
        if not isinstance(node, Refused):
            problems.append(Problem(node.where, describe(node), _STEP))
        return None
    before = len(problems)
    when = read_partly(node, _WHEN, problems, besides=known)
    chosen = [entry for entry in node.entries if entry.key in known]
    unknown = [entry for entry in node.entries if entry.key not in (*known, "at", "duration")]
    if not chosen and not unknown:
        words = f"a fault: {', '.join(known)}"
        problems.append(Problem(node.where, "a step without a fault", words))
    for entry in chosen[1:]:
        words = "one fault in a step; overlapping faults are steps of their own"
        problems.append(Problem(entry.where, f"{entry.key} besides {chosen[0].key}", words))
    values = [_parameters(registry.faults.get(each.key), each, problems) for each in chosen]
    if "duration" in when and float(when["duration"]) <= 0:
        problems.append(Problem(node.where, str(when["duration"]), "a duration above zero"))
    if len(problems) > before or len(values) != 1 or len(when) != len(_WHEN):
        return None
    return _numbered(chosen[0].key, count, when, values[0] or {}, node)


def _numbered(
    name: str, count: Counter[str], when: dict[str, Any], parameters: dict[str, Any], node: Node
) -> FaultStep:
    count[name] += 1
    step = name if count[name] == 1 else f"{name}.{count[name]}"
    return FaultStep(step, name, when["at"], when["duration"], parameters, str(node.where))


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
            read = shown(str(values[name]))
            problems.append(Problem(place_of(entry.value, name), read, words))
    return values

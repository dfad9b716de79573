"""Annotations as the schema of YAML: located nodes become typed values, or problems.

A function's signature says what YAML may give it, the fields of a dataclass likewise; there is
no second description that could disagree. `plain` turns values into what YAML can hold again.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin

from payresil.core.document import Entry, ListNode, MapNode, Node, Refused, Scalar, describe
from payresil.core.problems import MAX_SHOWN, Problem, nearest, shown
from payresil.core.scalars import INVALID, SchemaError, expected_scalar, read_plain, read_scalar
from payresil.core.values import Quantity

#: A parameter that names nodes, and one that names links, of the topology.
NodeSelector = Annotated[str, "node"]
LinkSelector = Annotated[str, "link"]
#: One that names a region, and one that names a region or a node outside of any.
RegionName = Annotated[str, "region"]
PlaceName = Annotated[str, "place"]

REQUIRED: Final = object()

#: Parameters that the engine gives and YAML never does: a fault's own id on the timeline, and what
#: a remedy writes its steps to.
GIVEN_BY_ENGINE = ("fault_id", "steps")


@dataclass(frozen=True, slots=True)
class Raw:
    """An annotation for a node that the caller reads by itself; `words` say what it is."""

    words: str


@dataclass(frozen=True, slots=True)
class Field:
    """One key that a mapping may have; `default` is `REQUIRED` when it must."""

    name: str
    annotation: Any
    default: Any = REQUIRED


def parameters_of(call: Callable[..., Any]) -> tuple[Field, ...]:
    """What YAML may say to `call`: its parameters after the first one.

    Raises:
        SchemaError: for an annotation that is missing or that YAML cannot express.
    """
    inner = inspect.unwrap(call)
    function = inner.__dict__.get("__init__", inner) if isinstance(inner, type) else inner
    scope = getattr(function, "__globals__", {})
    parameters = list(inspect.signature(inner).parameters.values())[1:]
    return tuple(
        Field(each.name, _resolved(each, scope, inner), _default(each))
        for each in parameters
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        and each.name not in GIVEN_BY_ENGINE
    )


def fields_of(shape: type) -> tuple[Field, ...]:
    """The fields of a dataclass."""
    hints = typing.get_type_hints(shape, include_extras=True)
    return tuple(
        Field(each.name, hints[each.name], _field_default(each))
        for each in dataclasses.fields(shape)
        if each.init
    )


def expected(annotation: Any) -> str:
    """What YAML should hold, in words for an error message.

    Raises:
        SchemaError: for an annotation that YAML cannot express.
    """
    if annotation is Any:
        return "any value"
    if isinstance(annotation, Raw):
        return annotation.words
    arguments = get_args(annotation)
    if _is_union(annotation):
        words = [expected(each) for each in arguments if each is not types.NoneType]
        return " or ".join([*words, "nothing"] if types.NoneType in arguments else words)
    if _is_list(annotation):
        return f"a list of {expected(arguments[0])}"
    if _is_mapping(annotation):
        return f"a mapping of names to {expected(arguments[1])}"
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return f"a mapping with {_keys(fields_of(annotation))}"
    return expected_scalar(annotation)


def read(node: Node, annotation: Any, problems: list[Problem]) -> Any:
    """The value that `node` holds by `annotation`, or `INVALID` with problems added.

    Raises:
        SchemaError: for an annotation that YAML cannot express.
    """
    if isinstance(node, Refused):
        return INVALID
    if isinstance(annotation, Raw):
        return node
    if annotation is Any:
        return _read_any(node, problems)
    if _is_union(annotation):
        return _read_union(node, annotation, problems)
    if _is_list(annotation):
        return _read_list(node, annotation, problems)
    if _is_mapping(annotation):
        return _read_mapping(node, annotation, problems)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        values = read_fields(node, fields_of(annotation), problems)
        return INVALID if values is None else annotation(**values)
    if isinstance(node, Scalar) and not (node.empty and node.plain):
        return read_scalar(node, annotation, problems)
    return _refuse(node, annotation, problems)


def read_fields(
    node: Node, fields: Sequence[Field], problems: list[Problem]
) -> dict[str, Any] | None:
    """The values of a mapping by the names of `fields`, defaults filled in; None on a problem."""
    before = len(problems)
    values = read_partly(node, fields, problems)
    return values if len(problems) == before and len(values) == len(fields) else None


def read_partly(
    node: Node, fields: Sequence[Field], problems: list[Problem], *, besides: Iterable[str] = ()
) -> dict[str, Any]:
    """The same, with those values that could be read: a caller can look for more problems.

    Keys in `besides` are known, and left to the caller.
    """
    if isinstance(node, Scalar) and node.empty:
        node = MapNode(node.where, ())
    if not isinstance(node, MapNode):
        if not isinstance(node, Refused):
            problems.append(Problem(node.where, describe(node), f"a mapping with {_keys(fields)}"))
        return {}
    meant = report_unknown(node, [*(field.name for field in fields), *besides], problems)
    values: dict[str, Any] = {}
    for field in fields:
        entry = node.get(field.name)
        # a misspelt key is one problem, not a second one for the key that is then missing
        if entry is not None or field.name not in meant:
            values[field.name] = _read_field(node, field, entry, problems)
    return {name: value for name, value in values.items() if value is not INVALID}


def report_unknown(node: MapNode, known: Iterable[str], problems: list[Problem]) -> set[str]:
    """Report every key that is not in `known`; the result is what they were meant to be."""
    names = sorted(set(known))
    words = f"one of the keys {', '.join(names)}" if names else "no keys"
    meant = set()
    for entry in node.entries:
        if entry.key not in names:
            near = nearest(entry.key, names) if len(problems) < MAX_SHOWN else None
            problems.append(Problem(entry.where, f"the key {shown(entry.key)}", words, near))
            meant.add(near or "")
    return meant


def plain(value: Any) -> Any:
    """A value as YAML can hold it: the inverse of `read`.

    Raises:
        SchemaError: for a value that YAML cannot hold.
    """
    if isinstance(value, Quantity):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    raise SchemaError(f"YAML cannot hold {value!r}")


def _default(parameter: inspect.Parameter) -> Any:
    return REQUIRED if parameter.default is parameter.empty else parameter.default


def _resolved(parameter: inspect.Parameter, scope: dict[str, Any], call: object) -> Any:
    """One annotation, resolved by itself: others may name what only a type checker imports."""
    place = f"parameter {parameter.name!r} of {getattr(call, '__qualname__', call)}"
    if parameter.annotation is parameter.empty:
        raise SchemaError(f"{place} has no annotation, so YAML cannot give it a value")
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        annotation = typing.get_type_hints(holder, scope, include_extras=True)["it"]
        expected(annotation)
    except (NameError, TypeError) as error:
        raise SchemaError(f"{place}: {error}") from error
    return annotation


def _field_default(each: dataclasses.Field[Any]) -> Any:
    if each.default is not dataclasses.MISSING:
        return each.default
    if each.default_factory is not dataclasses.MISSING:
        return each.default_factory()
    return REQUIRED


def _read_field(node: MapNode, field: Field, entry: Entry | None, problems: list[Problem]) -> Any:
    if entry is not None:
        return read(entry.value, field.annotation, problems)
    if field.default is REQUIRED:
        needed = f"the key {field.name}, {expected(field.annotation)}"
        problems.append(Problem(node.where, f"no {field.name}", needed))
        return INVALID
    return field.default


def _read_any(node: Node, problems: list[Problem]) -> Any:
    match node:
        case Scalar():
            return read_plain(node, problems)
        case ListNode(items=items):
            values: Any = [_read_any(item, problems) for item in items]
            inner = values
        case MapNode(entries=entries):
            values = {entry.key: _read_any(entry.value, problems) for entry in entries}
            inner = values.values()
        case Refused():
            return INVALID
    return INVALID if any(value is INVALID for value in inner) else values


def _read_union(node: Node, annotation: Any, problems: list[Problem]) -> Any:
    arguments = get_args(annotation)
    if isinstance(node, Scalar) and node.empty and types.NoneType in arguments:
        return None
    choices = [each for each in arguments if each is not types.NoneType]
    if len(choices) == 1:
        return read(node, choices[0], problems)
    for choice in choices:
        tried: list[Problem] = []
        value = read(node, choice, tried)
        if not tried:
            return value
    return _refuse(node, annotation, problems)


def _read_list(node: Node, annotation: Any, problems: list[Problem]) -> Any:
    if not isinstance(node, ListNode):
        return _refuse(node, annotation, problems)
    inner = get_args(annotation)[0]
    values = [read(item, inner, problems) for item in node.items]
    if any(value is INVALID for value in values):
        return INVALID
    return tuple(values) if get_origin(annotation) is tuple else values


def _read_mapping(node: Node, annotation: Any, problems: list[Problem]) -> Any:
    if not isinstance(node, MapNode):
        return _refuse(node, annotation, problems)
    inner = get_args(annotation)[1]
    values = {entry.key: read(entry.value, inner, problems) for entry in node.entries}
    return INVALID if any(value is INVALID for value in values.values()) else values


def _refuse(node: Node, annotation: Any, problems: list[Problem]) -> Any:
    problems.append(Problem(node.where, describe(node), expected(annotation)))
    return INVALID


def _keys(fields: Sequence[Field]) -> str:
    return ", ".join(field.name for field in fields) or "no keys"


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (types.UnionType, typing.Union)


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) is tuple:
        return len(get_args(annotation)) == 2 and get_args(annotation)[1] is Ellipsis
    return get_origin(annotation) in (list, Sequence)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) in (dict, Mapping) and get_args(annotation)[0] is str

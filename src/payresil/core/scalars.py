"""Plain text of YAML as typed scalars, strictly: a quoted number is text, ``yes`` is no truth."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from payresil.core.document import Scalar
from payresil.core.problems import Problem, nearest, shown
from payresil.core.topology import Link, Node, SelectorError, region_named
from payresil.core.values import Quantity

#: Stands for a value that could not be read; its problem has been reported.
INVALID: Final = object()

#: Whole numbers fit the tables' columns, which have 64 bits.
MAX_INT = 2**63 - 1

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})\Z")
_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?\Z")
#: Where anything may stand, a float needs a point, and a sign in its exponent: what YAML 1.1
#: takes for text must stay text, or what was dumped would not load back.
_POINT = re.compile(r"-?[0-9]{1,40}\.[0-9]{1,40}(?:[eE][-+][0-9]{1,3})?\Z")

_TRUTH = {"true": True, "false": False}
_TRUTH_MEANT = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false"}
_SELECTORS: dict[str, tuple[Callable[[str], object], str]] = {
    "node": (Node.parse, "a node such as a/service.1, a/db or psp"),
    "link": (Link.parse, "a link such as service->psp"),
    "region": (region_named, "the name of a region such as a"),
    "place": (region_named, "a region such as a, or what is outside of any, such as psp"),
}


class SchemaError(TypeError):
    """A member whose signature YAML cannot express: a fault of its author, not of the user."""


def selector_kind(annotation: Any) -> str | None:
    """``node``, ``link``, ``region`` or ``place`` when a text of this type names some of them."""
    if get_origin(annotation) is not Annotated:
        return None
    marks = [mark for mark in get_args(annotation)[1:] if mark in _SELECTORS]
    return marks[0] if marks else None


def expected_scalar(annotation: Any) -> str:
    """What a scalar of this type looks like, in words for an error message.

    Raises:
        SchemaError: when there is no such scalar.
    """
    if annotation is str:
        return "text"
    if annotation is bool:
        return "true or false"
    if annotation is int:
        return "a whole number"
    if annotation is float:
        return "a number"
    if isinstance(annotation, type) and issubclass(annotation, Quantity):
        return f"{annotation.describe()} such as {annotation.EXAMPLES}"
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(str(choice) for choice in get_args(annotation))}"
    selector = selector_kind(annotation)
    if selector is not None:
        return _SELECTORS[selector][1]
    raise SchemaError(f"YAML cannot express {annotation!r}")


def read_scalar(node: Scalar, annotation: Any, problems: list[Problem]) -> Any:
    """The typed value of a scalar, or `INVALID` with a problem added."""
    words = expected_scalar(annotation)
    try:
        value, meant = _convert(node, annotation)
    except ValueError as error:
        value, meant = INVALID, None
        words = str(error) or words
    if value is INVALID:
        read = shown(node.text) if node.plain else f"text in quotes, {shown(node.text)}"
        problems.append(Problem(node.where, read, words, meant))
    return value


def read_plain(node: Scalar, problems: list[Problem]) -> Any:
    """The value of a scalar where anything may stand: null, a truth, a number, else text."""
    if not node.plain:
        return node.text
    if node.empty:
        return None
    if node.text in _TRUTH:
        return _TRUTH[node.text]
    if _WHOLE.match(node.text):
        return read_scalar(node, int, problems)
    if _POINT.match(node.text):
        return read_scalar(node, float, problems)
    return node.text


def _convert(node: Scalar, annotation: Any) -> tuple[Any, str | None]:
    """The value, or `INVALID` with what was probably meant.

    Raises:
        ValueError: with what was expected, where the type itself says it best.
    """
    text = node.text
    if annotation is str:
        return text, None
    selector = selector_kind(annotation)
    if selector is not None:
        return _select(text, selector), None
    if get_origin(annotation) is Literal:
        return _choose(node, get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Quantity):
        return annotation.parse(text), None
    if not node.plain:
        return INVALID, None
    if annotation is bool:
        return _TRUTH.get(text, INVALID), _TRUTH_MEANT.get(text.lower(), nearest(text, _TRUTH))
    if annotation is int:
        return _whole(text), None
    return _number(text), None


def _choose(node: Scalar, choices: tuple[Any, ...]) -> tuple[Any, str | None]:
    for choice in choices:
        if isinstance(choice, str):
            if node.text == choice:
                return choice, None
        elif node.plain and node.text == str(choice):
            return choice, None
    return INVALID, nearest(node.text, [str(choice) for choice in choices])


def _select(text: str, kind: str) -> str:
    parse, words = _SELECTORS[kind]
    try:
        parse(text)
    except SelectorError:
        raise ValueError(words) from None
    return text.strip()


def _whole(text: str) -> Any:
    if not _WHOLE.match(text):
        return INVALID
    if abs(int(text)) > MAX_INT:
        raise ValueError("a whole number of at most 64 bits")
    return int(text)


def _number(text: str) -> Any:
    if not _NUMBER.match(text):
        return INVALID
    if not math.isfinite(float(text)):
        raise ValueError("a finite number")
    return float(text)

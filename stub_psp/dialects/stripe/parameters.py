"""What parameters an endpoint takes, and how each is read. Anything else is an error.

A reader is a function of the raw node and the parameter's full name that gives the value, or
raises :class:`ApiError` as Stripe words it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from stub_psp.dialects.stripe.currencies import CURRENCIES
from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.forms import Node

Reader = Callable[[Node, str], Any]
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)


class Schema:
    """Parameters by name, and which of them must be there."""

    def __init__(self, readers: Mapping[str, Reader], required: tuple[str, ...] = ()) -> None:
        self._readers = readers
        self._required = required

    def read(self, given: dict[str, Node], prefix: str = "") -> dict[str, Any]:
        """Values by name; a parameter that was not sent is not there."""
        values = {}
        for name, node in given.items():
            full = f"{prefix}[{name}]" if prefix else name
            reader = self._readers.get(name)
            if reader is None:
                raise ApiError(
                    400,
                    f"Received unknown parameter: {full}",
                    code="parameter_unknown",
                    param=full,
                )
            values[name] = reader(node, full)
        for name in self._required:
            if values.get(name) in (None, ""):
                full = f"{prefix}[{name}]" if prefix else name
                raise ApiError(
                    400, f"Missing required param: {full}.", code="parameter_missing", param=full
                )
        return values


def text(longest: int = 5000) -> Reader:
    def read(node: Node, name: str) -> str:
        if not isinstance(node, str):
            raise ApiError(400, f"Invalid string: {name} must be a string", param=name)
        if len(node) > longest:
            raise ApiError(
                400,
                f"Invalid string: {name} must be at most {longest} characters",
                param=name,
            )
        return node

    return read


def integer(least: int | None = None, most: int | None = None) -> Reader:
    def read(node: Node, name: str) -> int:
        if not isinstance(node, str) or not _INTEGER.fullmatch(node):
            raise ApiError(
                400, f"Invalid integer: {name}", code="parameter_invalid_integer", param=name
            )
        value = int(node)
        if least is not None and value < least:
            raise ApiError(
                400,
                f"This value must be greater than or equal to {least}.",
                code="parameter_invalid_integer",
                param=name,
            )
        if most is not None and value > most:
            raise ApiError(
                400,
                f"This value must be less than or equal to {most}.",
                code="amount_too_large"
                if name.startswith("amount")
                else "parameter_invalid_integer",
                param=name,
            )
        return value

    return read


def flag(node: Node, name: str) -> bool:
    if node not in ("true", "false"):
        raise ApiError(400, f"Invalid boolean: {name} must be true or false", param=name)
    return node == "true"


def choice(*allowed: str) -> Reader:
    def read(node: Node, name: str) -> str:
        if not isinstance(node, str) or node not in allowed:
            raise ApiError(
                400,
                f"Invalid {name}: must be one of {', '.join(allowed)}",
                param=name,
            )
        return node

    return read


def nested(schema: Schema) -> Reader:
    def read(node: Node, name: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            raise ApiError(400, f"Invalid object: {name}", param=name)
        return schema.read(node, name)

    return read


def texts(node: Node, name: str) -> list[str]:
    if not isinstance(node, dict):
        raise ApiError(400, f"Invalid array: {name}", param=name)
    values = []
    for step, value in node.items():
        if not (step.isascii() and step.isdigit()) or not isinstance(value, str):
            raise ApiError(400, f"Invalid array: {name}", param=name)
        values.append(value)
    return values


def metadata(node: Node, name: str) -> dict[str, str]:
    """At most 50 keys of 40 characters with values of 500; an empty value removes the key."""
    if node == "":
        return {}
    if not isinstance(node, dict):
        raise ApiError(400, f"Invalid object: {name}", param=name)
    if len(node) > 50:
        raise ApiError(400, "Metadata can have at most 50 keys.", param=name)
    for key, value in node.items():
        full = f"{name}[{key}]"
        if not isinstance(value, str):
            raise ApiError(400, f"Invalid string: {full} must be a string", param=full)
        if len(key) > 40:
            raise ApiError(400, f"Metadata keys are at most 40 characters: {full}", param=full)
        if len(value) > 500:
            raise ApiError(400, f"Metadata values are at most 500 characters: {full}", param=full)
    return {key: value for key, value in node.items() if isinstance(value, str)}


def currency(node: Node, name: str) -> str:
    if isinstance(node, str) and node.lower() in CURRENCIES:
        return node.lower()
    raise ApiError(
        400, "Invalid currency: use a three-letter ISO code that Stripe supports.", param=name
    )


_RANGE = Schema({name: integer(0) for name in ("gt", "gte", "lt", "lte")})


def moment(node: Node, name: str) -> dict[str, int]:
    """``created=5`` or ``created[gte]=5``: comparisons by name, ``eq`` for the bare value."""
    if isinstance(node, dict):
        return _RANGE.read(node, name)
    return {"eq": integer(0)(node, name)}

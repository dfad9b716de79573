"""JSON bodies, read the way Go's ``encoding/json`` reads them, because Toxiproxy does.

Field names match whatever their case, ``null`` is as good as absent, unknown fields are ignored,
and only the first value of the body counts. Every ``detail`` of an error here is about the
client's body; all are raised as ApiError 400 ``bad request body: …``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from payresil.toxiproxy.errors import bad_body

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class _Fraction(float):
    """A number with a point or an exponent, as it was written: Go refuses 1000.0 as an integer."""

    text: str

    def __new__(cls, text: str) -> _Fraction:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _refuse_constant(name: str) -> object:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_float=_Fraction, parse_constant=_refuse_constant)


def parse(body: bytes) -> object:
    """The first JSON value of ``body``; raises ApiError 400."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise bad_body("EOF")
    try:
        value, _rest = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise bad_body(_explain(text, error)) from None
    except ValueError as error:
        # A constant that is not JSON, or an integer of thousands of digits.
        raise bad_body(str(error)) from None
    except RecursionError:
        raise bad_body("exceeded max depth") from None
    return value


def _explain(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    return f"invalid character {text[error.pos]!r} at offset {error.pos}: {error.msg}"


def _kind(value: object) -> str:
    """What ``encoding/json`` calls the type of a value in its errors."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, _Fraction):
        return f"number {value.text}"
    if isinstance(value, int):
        return f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


class Fields:
    """The members of a JSON object; each getter returns None for an absent one.

    ``struct`` is the name that the errors give the object, as in ``Proxy.listen``.
    """

    def __init__(self, value: object, struct: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise bad_body(f"json: cannot unmarshal {_kind(value)} into Go value of type {struct}")
        self._struct = struct
        members = ((name, member) for name, member in value.items() if member is not None)
        self._members = {name.lower(): (name, member) for name, member in members}

    def names(self) -> Iterator[str]:
        """The names as the client wrote them."""
        return (name for name, _member in self._members.values())

    def text(self, name: str) -> str | None:
        """A string. Lone surrogates become U+FFFD, as UTF-8 cannot hold them."""
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._mismatch(name, value, "string")
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        value = self._get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._mismatch(name, value, "bool")

    def integer(self, name: str) -> int | None:
        """An integer of 64 bits, written as one."""
        value = self._get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._mismatch(name, value, "int64")
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise self._mismatch(name, value, "int64")
        return value

    def number(self, name: str) -> float | None:
        """A finite number."""
        value = self._get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._mismatch(name, value, "float32")
        try:
            return float(value)
        except OverflowError:
            raise self._mismatch(name, value, "float32") from None

    def nested(self, name: str, struct: str) -> Fields:
        """The members of an object, none where it is absent."""
        value = self._get(name)
        if value is not None and not isinstance(value, dict):
            raise self._mismatch(name, value, struct)
        return Fields(value, struct)

    def _get(self, name: str) -> object:
        return self._members.get(name, (name, None))[1]

    def _mismatch(self, name: str, value: object, wanted: str) -> Exception:
        return bad_body(
            f"json: cannot unmarshal {_kind(value)} into Go struct field "
            f"{self._struct}.{name} of type {wanted}"
        )

"""Form encoding with nested names: ``card[exp_month]=1``, ``expand[]=x``, ``expand[0]=x``."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote

from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.exchange import Pairs

#: A text, or nodes by name; a list has the names "0", "1", …
Node = str | dict[str, "Node"]

MAX_FIELDS = 500
MAX_DEPTH = 6


def pairs(encoded: str | bytes) -> Pairs:
    """Decode a query or a body; raises ApiError where it is not UTF-8 form encoding."""
    try:
        text = encoded.decode("ascii") if isinstance(encoded, bytes) else encoded
        parts = [part for part in text.split("&") if part]
        if len(parts) > MAX_FIELDS:
            raise ApiError(400, f"Invalid request: more than {MAX_FIELDS} parameters.")
        return [
            (_decoded_name(name), _decoded(value))
            for name, _, value in (part.partition("=") for part in parts)
        ]
    except UnicodeDecodeError as error:
        raise ApiError(400, "Invalid request: parameters must be UTF-8 form encoding.") from error


def tree(fields: Pairs) -> dict[str, Node]:
    """Nest the fields. A name given twice keeps its last value, as Stripe does."""
    root: dict[str, Node] = {}
    for name, value in fields:
        if "[" not in name:
            _put(root, name, value, name)
            continue
        *path, last = _path(name)
        parent = root
        for step in path:
            child = parent.setdefault(step or str(len(parent)), {})
            if isinstance(child, str):
                raise _mixed(name)
            parent = child
        _put(parent, last or str(len(parent)), value, name)
    return root


def _decoded(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="strict") if "%" in text else text


#: The same few names come with every request. Bounded: names are the caller's to choose.
_decoded_name = lru_cache(maxsize=1024)(_decoded)


@lru_cache(maxsize=1024)
def _path(name: str) -> tuple[str, ...]:
    first, _, rest = name.partition("[")
    if not first or not rest.endswith("]"):
        return (name,)  # not a nested name: unknown, and reported as such
    path = (first, *rest[:-1].split("]["))
    if len(path) > MAX_DEPTH or any("[" in step or "]" in step for step in path):
        raise ApiError(400, f"Invalid parameter name: {name}", param=name)
    return path


def _put(parent: dict[str, Node], step: str, value: str, name: str) -> None:
    if isinstance(parent.get(step), dict):
        raise _mixed(name)
    parent[step] = value


def _mixed(name: str) -> ApiError:
    first = name.partition("[")[0]
    return ApiError(400, f"Invalid {first}: it is both a value and an object.", param=first)

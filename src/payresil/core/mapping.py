"""From a system file to requests, and from answers to outcomes.

`build` fills in the templates of an operation; `classify` says what an answer means for the
money: ``ok`` (a final answer), ``fail`` (it certainly did nothing) or ``unknown`` (everything
else). Both are pure; no answer, however malformed, makes `classify` raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec

from payresil.core.currencies import decimal
from payresil.core.system import Api, Operation

Outcome = Literal["ok", "fail", "unknown"]

#: A longer body is not read: no answer about one payment is that long.
BODY_LIMIT = 1 << 20
#: Names and states are cut to this many characters before they reach a table.
TEXT_LIMIT = 200

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
#: Placeholders whose values follow from others.
_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "amount_decimal": lambda values: decimal(values["amount_minor"], values["currency"]),
    "currency_upper": lambda values: str(values["currency"]).upper(),
}
_PATH = re.compile(r"/[!-~]*\Z")
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_PAYMENT_REQUIRED = 402  # what services answer when the issuer declined
_ACCEPTED = 202  # RFC 9110 15.3.3: noncommittal by definition
_TOO_MANY_REQUESTS = 429


class MappingError(ValueError):
    """An operation that the system file does not describe, or describes wrongly."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to send. `path` is the request target with its query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes  # empty for none


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt came to."""

    outcome: Outcome
    state: str | None = None  # payresil's word for it where there is one, else the service's
    payment: str | None = None  # the service's id of the payment
    replayed: bool | None = None  # None where the service does not say
    region: str | None = None
    instance: str | None = None
    pending: bool = False  # the service said that it is still at work
    follow: str | None = None  # the path at which it says how that goes on
    status: int | None = None  # None when there was no answer
    error: str | None = None  # why there was no usable answer

    @property
    def final(self) -> bool:
        """Whether there is nothing left to ask."""
        return self.outcome == "ok"


def build(
    api: Api,
    operation: str,
    values: Mapping[str, Any],
    *,
    key: str | None = None,
    follow: str | None = None,
) -> Request:
    """The request of `operation` with `values` in place of its placeholders.

    A value that goes into the path is percent-encoded; a body value that is nothing but one
    placeholder keeps the type of the value. `key` is sent in the API's key header. `follow`, which
    an answer gave, takes the place of the path.

    Raises:
        MappingError: when the system file has no such operation, or names a placeholder
            for which there is no value, or a header would contain a line break.
    """
    described = _operation(api, operation)
    method, target = _request_line(described.request)
    headers = {
        name: _header(name, _fill_text(text, values, f"header {name}"))
        for name, text in api.headers.items()
    }
    if key is not None:
        headers[api.key_header] = _header(api.key_header, key)
    body = b""
    if described.body is not None:
        body = msgspec.json.encode(_fill(described.body, values, f"body of {operation}"))
        headers["Content-Type"] = "application/json"
    path = follow or _fill_path(target, values, operation)
    return Request(method, path, headers, body)


def classify(
    api: Api,
    operation: str,
    status: int,
    headers: Mapping[str, Any],
    body: bytes,
    *,
    earlier_unknown: bool = False,
) -> Answer:
    """What an HTTP answer means. Total: anything it cannot make sense of is ``unknown``.

    `headers` are looked up by lower-case name. `earlier_unknown` says that another attempt of
    the same intent may have happened: then a 429 settles nothing. A final state counts on a
    2xx other than 202, and on 402, which is how services answer a decline. An operation that
    is described without a state is answered by the status alone.

    Raises:
        MappingError: when the system file has no such operation; never because of the answer.
    """
    described = _operation(api, operation)
    content = _parse(body)
    word = _text(_at(content, described.state))
    state = api.final.get(word, word) if word is not None else None
    return Answer(
        outcome=_outcome(api, described, status, word, earlier_unknown),
        state=state,
        payment=_text(_at(content, described.payment)),
        replayed=_replayed(api, headers),
        region=_from_header(headers, api.region_header),
        instance=_from_header(headers, api.instance_header),
        pending=word is not None and word in api.pending and 200 <= status < 300,
        follow=_path_of(_text(_at(content, described.follow))),
        status=status,
    )


def unanswered(error: str) -> Answer:
    """What it means that no usable answer came.

    Only ``refused`` is certain: the connection was never made, so nothing was sent.
    """
    return Answer(outcome="fail" if error == "refused" else "unknown", error=error)


def _outcome(
    api: Api, described: Operation, status: int, word: str | None, earlier_unknown: bool
) -> Outcome:
    if 200 <= status < 300:
        return "ok" if status != _ACCEPTED and _is_final(api, described, word) else "unknown"
    if status == _PAYMENT_REQUIRED and word is not None and _is_final(api, described, word):
        return "ok"
    if status in api.certain or (status == _TOO_MANY_REQUESTS and not earlier_unknown):
        return "fail"
    return "unknown"


def _is_final(api: Api, described: Operation, word: str | None) -> bool:
    if described.state is None:  # the system file says that the status alone is the answer
        return True
    return word is not None and word in api.final and word not in api.pending


def _operation(api: Api, name: str) -> Operation:
    try:
        return api.operations[name]
    except KeyError:
        known = ", ".join(sorted(api.operations)) or "none"
        raise MappingError(
            f"the system file describes no operation {name!r} under api.operations; it has {known}"
        ) from None


@lru_cache(maxsize=256)
def _request_line(template: str) -> tuple[str, str]:
    method, _, target = template.strip().partition(" ")
    target = target.strip()
    if method.upper() not in _METHODS or not target.startswith("/") or " " in target:
        raise MappingError(
            f"{template!r} is no request; expected a method and a path, such as POST /payments"
        )
    return method.upper(), target


@lru_cache(maxsize=1024)
def _parts(template: str) -> tuple[str, ...]:
    """The template taken apart: text, placeholder, text, placeholder, …, text."""
    return tuple(_PLACEHOLDER.split(template))


def _value(name: str, values: Mapping[str, Any], where: str) -> Any:
    try:
        return values[name] if name in values else _DERIVED[name](values)
    except KeyError:
        known = ", ".join(sorted(values))
        raise MappingError(
            f"{where}: no value for the placeholder {{{name}}}; there are {known}"
        ) from None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _fill_text(template: str, values: Mapping[str, Any], where: str) -> str:
    parts = _parts(template)
    if len(parts) == 1:
        return template
    return "".join(
        _plain(_value(part, values, where)) if index % 2 else part
        for index, part in enumerate(parts)
    )


def _fill_path(template: str, values: Mapping[str, Any], operation: str) -> str:
    where = f"request of {operation}"
    return "".join(
        quote(_plain(_value(part, values, where)), safe="") if index % 2 else part
        for index, part in enumerate(_parts(template))
    )


def _fill(template: Any, values: Mapping[str, Any], where: str) -> Any:
    if isinstance(template, str):
        parts = _parts(template)
        if len(parts) == 3 and not parts[0] and not parts[2]:
            return _value(parts[1], values, where)
        return _fill_text(template, values, where)
    if isinstance(template, Mapping):
        return {name: _fill(inner, values, where) for name, inner in template.items()}
    if isinstance(template, list | tuple):
        return [_fill(inner, values, where) for inner in template]
    return template


def _header(name: str, value: str) -> str:
    if "\r" in value or "\n" in value:
        raise MappingError(f"header {name}: its value contains a line break")
    return value


def _parse(body: bytes) -> Any:
    if not body or len(body) > BODY_LIMIT:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # no JSON: the answer says nothing, which the outcome then reflects


def _at(content: Any, path: str | None) -> Any:
    """The value at a dotted path; a number in it is an index into a list."""
    if path is None:
        return None
    for step in path.split("."):
        if isinstance(content, dict):
            content = content.get(step)
        elif isinstance(content, list) and step.isdecimal() and int(step) < len(content):
            content = content[int(step)]
        else:
            return None
    return content


def _text(value: Any) -> str | None:
    """A name that is safe to store: valid UTF-8, of bounded length, None for anything else."""
    if isinstance(value, list) and value:  # a header sent twice
        value = value[0]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    return value[:TEXT_LIMIT].encode("utf-8", "replace").decode("utf-8")


def _path_of(url: str | None) -> str | None:
    """The path and query of a URL: wherever it leads, requests go where they always go."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return path if _PATH.match(path) else None


def _from_header(headers: Mapping[str, Any], name: str | None) -> str | None:
    return None if name is None else _text(headers.get(name.lower()))


def _replayed(api: Api, headers: Mapping[str, Any]) -> bool | None:
    if api.replay_header is None:
        return None
    value = _from_header(headers, api.replay_header)
    return value is not None and value.strip().lower() not in ("false", "0", "no")

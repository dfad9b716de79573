"""What the endpoints take, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from payresil.toxiproxy.address import AddressError
from payresil.toxiproxy.address import parse as parse_address
from payresil.toxiproxy.decoding import Fields, parse
from payresil.toxiproxy.errors import (
    ApiError,
    bad_body,
    invalid_stream,
    invalid_toxic_type,
    missing_field,
)
from payresil.toxiproxy.registry import TOXICS, Toxic
from payresil.toxiproxy.toxicset import Direction, InstalledToxic, ToxicSet

DEFAULT_LISTEN = "127.0.0.1:0"
#: Characters of a proxy's or a toxic's name; they are part of every answer and log line.
MAX_NAME = 1024

_DIRECTIONS = {direction.value: direction for direction in Direction}


@dataclass(frozen=True)
class NewProxy:
    """A proxy to be made."""

    name: str
    listen: str
    upstream: str
    enabled: bool


@dataclass(frozen=True)
class ProxyChange:
    """A change of a proxy; None leaves a field as it is."""

    listen: str | None
    upstream: str | None
    enabled: bool | None


def new_proxy(body: bytes) -> NewProxy:
    """The body of ``POST /proxies``; raises ApiError 400."""
    return _new_proxy(Fields(parse(body), "Proxy"))


def new_proxies(body: bytes) -> list[NewProxy]:
    """The body of ``POST /populate``, all of it valid; raises ApiError 400."""
    value = parse(body)
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_body("json: expected an array of proxies")
    proxies = []
    for position, entry in enumerate(value, start=1):
        try:
            proxies.append(_new_proxy(Fields(entry, "Proxy")))
        except ApiError as error:
            raise ApiError(f"{error.message} at proxy {position}", error.status) from None
    return proxies


def proxy_change(body: bytes) -> ProxyChange:
    """The body of ``PATCH /proxies/{proxy}``; raises ApiError 400."""
    given = Fields(parse(body), "Proxy")
    change = ProxyChange(given.text("listen"), given.text("upstream"), given.flag("enabled"))
    if change.upstream is not None:
        _check_upstream(change.upstream)
    return change


def _new_proxy(given: Fields) -> NewProxy:
    name, upstream = given.text("name"), given.text("upstream")
    listen, enabled = given.text("listen"), given.flag("enabled")
    if not name:
        raise missing_field("name")
    _check_name(name)
    if not upstream:
        raise missing_field("upstream")
    _check_upstream(upstream)
    return NewProxy(name, listen or DEFAULT_LISTEN, upstream, enabled is not False)


def _check_upstream(upstream: str) -> None:
    try:
        parse_address(upstream)
    except AddressError as error:
        raise ApiError(f"upstream: {error}", 400) from None


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise ApiError(f"name is too long: at most {MAX_NAME} characters", 400)


def new_toxic(body: bytes, present: ToxicSet) -> InstalledToxic:
    """The body of ``POST …/toxics``; raises ApiError 400, or 409 where the name is taken.

    The order of the checks is the original's: JSON, stream, type, duplicate, attributes.
    """
    given = Fields(parse(body), "ToxicWrapper")
    stream = given.text("stream") or Direction.DOWNSTREAM.value
    kind_name, name, toxicity = given.text("type") or "", given.text("name"), _toxicity(given)
    direction = _DIRECTIONS.get(stream.lower())
    if direction is None:
        raise invalid_stream()
    if kind_name not in TOXICS:
        raise invalid_toxic_type()
    name = name or f"{kind_name}_{stream}"
    _check_name(name)
    present.require_free(name)
    kind = TOXICS[kind_name]
    toxic = _checked(kind(**_attributes(given, kind)))
    return InstalledToxic(
        name=name,
        type=kind_name,
        stream=stream,
        direction=direction,
        toxicity=1.0 if toxicity is None else toxicity,
        toxic=toxic,
    )


def toxic_change(body: bytes, installed: InstalledToxic) -> tuple[Toxic, float]:
    """The body of ``PATCH …/toxics/{toxic}``: its attributes and toxicity as they shall be.

    Raises ApiError 400.
    """
    given = Fields(parse(body), "ToxicWrapper")
    toxicity = _toxicity(given)
    changed = replace(installed.toxic, **_attributes(given, type(installed.toxic)))
    return _checked(changed), installed.toxicity if toxicity is None else toxicity


def _toxicity(given: Fields) -> float | None:
    toxicity = given.number("toxicity")
    if toxicity is not None and not 0 <= toxicity <= 1:
        raise ApiError(f"toxicity must be between 0 and 1, got {toxicity}", 400)
    return toxicity


def _attributes(given: Fields, kind: type[Toxic]) -> dict[str, int]:
    attributes = given.nested("attributes", f"{kind.__name__}Toxic.attributes")
    known = [field.name for field in fields(kind)]
    for name in attributes.names():
        if name.lower() not in known:
            takes = ", ".join(known) or "no attributes"
            raise bad_body(f'json: unknown field "{name}", {kind.__name__}Toxic takes {takes}')
    read = {name: attributes.integer(name) for name in known}
    return {name: value for name, value in read.items() if value is not None}


def _checked(toxic: Toxic) -> Toxic:
    try:
        toxic.check()
    except ValueError as error:
        raise bad_body(str(error)) from None
    return toxic


def lease_ttl_ms(body: bytes) -> int:
    """The body of ``POST /lease``; raises ApiError 400."""
    ttl_ms = Fields(parse(body), "Lease").integer("ttl_ms")
    if ttl_ms is None:
        raise missing_field("ttl_ms")
    return ttl_ms

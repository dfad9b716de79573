"""What the control plane is sent, read strictly: an unknown field is an error."""

from __future__ import annotations

import json
from collections.abc import Collection
from difflib import get_close_matches
from urllib.parse import parse_qsl

from stub_psp.dialects.stripe.webhook_endpoints import is_url
from stub_psp.identifiers import mint
from stub_psp.lease import MAX_OWNER, MAX_TTL_MS, Owner
from stub_psp.store.events import Endpoint


class ControlError(Exception):
    """The request cannot be served; the message says what was read and what was expected."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError as error:  # not JSON, or not UTF-8
        raise ControlError(f"the body is not JSON: {error}") from error


def fields(
    body: bytes, known: Collection[str], required: Collection[str] = ()
) -> dict[str, object]:
    raw = decoded(body)
    if not isinstance(raw, dict):
        raise ControlError("the body must be a JSON object")
    for name in raw:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise ControlError(f"unknown field {name!r}; did you mean {near[0]!r}?")
    for name in required:
        if name not in raw:
            raise ControlError(f"{name} is missing")
    return raw


def lease(body: bytes) -> tuple[Owner, int]:
    """Whose lease, and for how many ms."""
    raw = fields(body, ("ttl_ms", "owner"), ("ttl_ms",))
    return _owner(raw.get("owner")), _integer(raw["ttl_ms"], "ttl_ms", 1, MAX_TTL_MS)


def queried_owner(query: str) -> Owner:
    """The ``owner`` of ``?owner=…``; None where there is no query.

    Raises ControlError for anything else: what is meant for one owner must not reach all.
    """
    raw = dict(parse_qsl(query, keep_blank_values=True))
    if raw.keys() - {"owner"} or bool(raw) != bool(query):
        raise ControlError(f"the query {query!r} is not known; expected owner=… or nothing")
    return _owner(raw.get("owner"))


def _owner(value: object) -> Owner:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= MAX_OWNER):
        raise ControlError(f"owner: got {value!r}, expected a text of 1 to {MAX_OWNER} characters")
    return value


def advance_s(body: bytes) -> int:
    raw = fields(body, ("advance_s",), ("advance_s",))
    return _integer(raw["advance_s"], "advance_s", 0, 10**9)


def passed(body: bytes) -> bool:
    value = fields(body, ("passed",), ("passed",))["passed"]
    if not isinstance(value, bool):
        raise ControlError(f"passed: got {value!r}, expected true or false")
    return value


def endpoint(body: bytes, now_s: int) -> Endpoint:
    """``account`` is an ``acct_…`` id (``GET /v1/account`` tells a key's); none means all."""
    known = ("url", "secret", "enabled_events", "account")
    raw = fields(body, known, ("url", "secret"))
    url, secret, account = raw["url"], raw["secret"], raw.get("account")
    if not isinstance(url, str) or not is_url(url):
        raise ControlError(f"url: got {url!r}, expected http://… or https://…")
    if not isinstance(secret, str) or not 8 <= len(secret) <= 255:
        raise ControlError("secret: expected a text of 8 to 255 characters")
    if account is not None and not (isinstance(account, str) and account.startswith("acct_")):
        raise ControlError(f"account: got {account!r}, expected acct_… or nothing, for all")
    events = raw.get("enabled_events", ["*"])
    if not isinstance(events, list) or not events or not all(isinstance(e, str) for e in events):
        raise ControlError('enabled_events: expected a list of event types, or ["*"]')
    return Endpoint(
        seq=0,
        id=mint("we"),
        account=account,
        url=url,
        secret=secret,
        enabled_events=tuple(events),
        created=now_s,
    )


def _integer(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ControlError(f"{name}: got {value!r}, expected an integer from {least} to {most}")
    return value

"""What a rule says. Read strictly: a rule that can never bite as meant is an error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Literal, NoReturn, get_args

from msgspec import Struct

from stub_psp.lease import MAX_OWNER, Owner

How = Literal["reset", "hang", "close", "status", "delay", "accept"]
MAX_MS = 600_000


class Point(StrEnum):
    """Where in a request's life a rule acts."""

    BEFORE_COMMIT = "before_commit"  # nothing happened, and nothing will (but for ``delay``)
    UNCHECKED = "unchecked"  # it happens, also where it should have been refused
    AFTER_COMMIT_LOST = "after_commit_lost"  # all of it happened; the answer is not sent
    AFTER_COMMIT_WRONG = "after_commit_wrong"  # all of it happened; the answer says otherwise


_HOWS: dict[Point, tuple[How, ...]] = {
    Point.BEFORE_COMMIT: ("status", "reset", "close", "hang", "delay"),
    Point.UNCHECKED: ("accept",),
    Point.AFTER_COMMIT_LOST: ("reset", "close", "hang"),
    Point.AFTER_COMMIT_WRONG: ("status",),
}

#: Where there is a check to leave out: whether less is left of a charge than is to be refunded.
UNCHECKED_ENDPOINTS = ("refunds.create",)


class RuleError(Exception):
    """The rule cannot be understood; the message says what was read and what was expected."""


class Match(Struct, frozen=True):
    """Which requests; what is None matches all. ``nth`` counts per merchant reference, from 1."""

    endpoint: str | None = None  # payment_intents.create, or payment_intents.*
    reference: str | None = None
    key: str | None = None
    nth: int | None = None


class Action(Struct, frozen=True):
    """``reset`` is a TCP reset, ``close`` an orderly end, ``hang`` silence and then ``close``,
    ``status`` an error answer, ``delay`` a wait after which the request goes on as if nothing
    had been, ``accept`` to do what is asked without the check.
    """

    how: How
    hang_ms: int = 0
    delay_ms: int = 0
    status: int = 500
    store: bool = False  # keep the wrong answer as the key's result, as Stripe keeps its 500s


class Rule(Struct, frozen=True):
    """``share`` of the requests that match, or all; at most ``count`` of them.

    The rule goes when the lease of its ``owner`` runs out.
    """

    id: str
    point: Point
    action: Action
    match: Match = Match()
    share: float = 1.0
    count: int | None = None
    owner: Owner = None

    def covers(self, endpoint: str, reference: str | None, key: str | None) -> bool:
        match = self.match
        if match.reference is not None and match.reference != reference:
            return False
        if match.key is not None and match.key != key:
            return False
        if match.endpoint is None:
            return True
        if match.endpoint.endswith("*"):
            return endpoint.startswith(match.endpoint[:-1])
        return endpoint == match.endpoint


def parse(raw: object, id_: str, endpoints: Collection[str]) -> Rule:
    """Read a rule from decoded JSON; ``id_`` is for one that names none. Raises RuleError."""
    fields = _object(raw, "rule", ("id", "point", "match", "share", "count", "action", "owner"))
    if "point" not in fields or "action" not in fields:
        raise RuleError("a rule needs a point and an action")
    point = Point(_choice(fields["point"], "point", [p.value for p in Point]))
    share = fields.get("share", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise RuleError(f"share: got {share!r}, expected a number above 0 and up to 1")
    count = fields.get("count")
    match = _match(fields.get("match", {}), endpoints)
    if point is Point.UNCHECKED and match.endpoint not in UNCHECKED_ENDPOINTS:
        known = " or ".join(UNCHECKED_ENDPOINTS)
        raise RuleError(f"match.endpoint: got {match.endpoint!r} at {point}, expected {known}")
    return Rule(
        id=_text(fields.get("id", id_), "id", 64),
        point=point,
        action=_action(fields["action"], point),
        match=match,
        share=float(share),
        count=None if count is None else _integer(count, "count", 1, 10**9),
        owner=None if fields.get("owner") is None else _text(fields["owner"], "owner", MAX_OWNER),
    )


def _match(raw: object, endpoints: Collection[str]) -> Match:
    fields = _object(raw, "match", Match.__struct_fields__)
    endpoint = fields.get("endpoint")
    if endpoint is not None:
        endpoint = _endpoint(_text(endpoint, "match.endpoint", 100), endpoints)
    texts = {
        name: None if fields.get(name) is None else _text(fields[name], f"match.{name}", 500)
        for name in ("reference", "key")
    }
    nth = fields.get("nth")
    return Match(
        endpoint=endpoint,
        nth=None if nth is None else _integer(nth, "match.nth", 1, 10**9),
        **texts,
    )


def _endpoint(name: str, endpoints: Collection[str]) -> str:
    if name.endswith("*"):
        if not any(endpoint.startswith(name[:-1]) for endpoint in endpoints):
            _unknown(name, "match.endpoint", endpoints)
    elif name not in endpoints:
        _unknown(name, "match.endpoint", endpoints)
    return name


def _action(raw: object, point: Point) -> Action:
    fields = _object(raw, "action", Action.__struct_fields__)
    how = _choice(fields.get("how"), "action.how", list(get_args(How)))
    if how not in _HOWS[point]:
        raise RuleError(f"action.how: {how} at {point}; expected {' or '.join(_HOWS[point])}")
    needs = {"hang": ("hang_ms",), "delay": ("delay_ms",), "status": ("status", "store")}
    for name in fields:
        if name != "how" and name not in needs.get(how, ()):
            raise RuleError(f"action.{name} means nothing with how: {how}")
    for name in needs.get(how, ())[:1]:
        if name not in fields and name != "status":
            raise RuleError(f"action.{name} is missing; how: {how} needs it")
    store = fields.get("store", False)
    if not isinstance(store, bool):
        raise RuleError(f"action.store: got {store!r}, expected true or false")
    if store and point is not Point.AFTER_COMMIT_WRONG:
        raise RuleError(f"action.store: nothing is stored at {point}")
    return Action(
        how=how,
        hang_ms=_integer(fields.get("hang_ms", 0), "action.hang_ms", 0, MAX_MS),
        delay_ms=_integer(fields.get("delay_ms", 0), "action.delay_ms", 0, MAX_MS),
        status=_integer(fields.get("status", 500), "action.status", 400, 599),
        store=store,
    )


def _object(raw: object, name: str, known: Collection[str]) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise RuleError(f"{name}: got {raw!r}, expected an object")
    for field in raw:
        if field not in known:
            _unknown(field, name, known)
    return raw


def _choice(value: object, name: str, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        _unknown(str(value), name, known)
    return value


def _text(value: object, name: str, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise RuleError(f"{name}: got {value!r}, expected a text of 1 to {longest} characters")
    return value


def _integer(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RuleError(f"{name}: got {value!r}, expected an integer from {least} to {most}")
    return value


def _unknown(value: str, name: str, known: Collection[str]) -> NoReturn:
    near = get_close_matches(value, sorted(known), n=1, cutoff=0.0)
    raise RuleError(
        f"{name}: unknown {value!r}; did you mean {near[0]!r}? Known: {', '.join(sorted(known))}"
    )

"""Routes of the control plane, and its one credential."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Iterator

import msgspec

from stub_psp import truth
from stub_psp.backstage import Backstage
from stub_psp.control import bodies
from stub_psp.control.bodies import ControlError
from stub_psp.engine.values import RefusedError
from stub_psp.exchange import Answer, Request
from stub_psp.faults import Faults
from stub_psp.lease import Owner
from stub_psp.log import log
from stub_psp.metrics import Metrics
from stub_psp.rules import RuleError
from stub_psp.store import Store
from stub_psp.wire import BodyTooLargeError, ClientGoneError, Connection, Receive, Scope, Send

_JSON = [(b"content-type", b"application/json")]
_TEXT = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_LINES = [(b"content-type", b"application/x-ndjson")]


class ControlPlane:
    """An ASGI application. ``token`` None leaves it open, for those who asked for that.

    ``on_lease`` is called when a lease was renewed or disarmed.
    """

    def __init__(
        self,
        *,
        store: Store,
        faults: Faults,
        backstage: Backstage,
        metrics: Metrics,
        token: str | None,
        stopping: asyncio.Event,
        on_lease: Callable[[], None],
    ) -> None:
        self._store = store
        self._faults = faults
        self._backstage = backstage
        self._metrics = metrics
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._stopping = stopping
        self._on_lease = on_lease

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(scope, receive, send, self._stopping)
        try:
            await self._answer(connection, await connection.request())
        except ClientGoneError:
            pass  # it never became a request
        except (ControlError, RuleError) as error:
            status = error.status if isinstance(error, ControlError) else 400
            await connection.send(_json(status, {"error": str(error)}), _JSON)
        except BodyTooLargeError:
            await connection.send(_json(413, {"error": "the body is too large"}), _JSON)

    def _authorize(self, request: Request) -> None:
        given = request.headers.get(b"authorization", b"")
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            raise ControlError("send Authorization: Bearer with the control token", 401)

    async def _answer(self, connection: Connection, request: Request) -> None:
        if request.path == "/metrics" and request.method == "GET":
            # Counts only, and open: as scrapers expect of a target.
            await connection.send(Answer(200, self._metrics_text()), _TEXT)
            return
        self._authorize(request)
        first, _, rest = request.path.removeprefix("/_control/").partition("/")
        if not request.path.startswith("/_control/"):
            raise ControlError(f"no such path: {request.path}", 404)
        if first == "truth" and request.method == "GET":
            await connection.stream(self._truth(rest), _LINES)
        else:
            await connection.send(self._handle(request, first, rest), _JSON)

    def _handle(self, request: Request, first: str, rest: str) -> Answer:
        match request.method, first, rest:
            case "GET", "health", "":
                return _json(200, {"ok": True})
            case "GET", "pending", "":
                return _json(200, self._pending())
            case "POST", "webhook_endpoints", "":
                return self._add_endpoint(request.body)
            case "POST", "rules", "":
                entry = self._faults.add(bodies.decoded(request.body))
                return _json(201, self._faults.show(entry))
            case "GET", "rules", "":
                return self._show_rules()
            case "DELETE", "rules", "":
                owner = bodies.queried_owner(request.query)
                return _json(200, {"rules": self._remove_rules(owner)})
            case "GET" | "DELETE", "rules", id_:
                return self._one_rule(request.method, id_)
            case "POST" | "DELETE", "lease", "":
                return self._lease(request)
            case "GET" | "POST", "clock", "":
                return self._clock(request)
            case "POST", "authenticate", id_ if id_:
                return self._authenticate(id_, request.body)
        raise ControlError(f"no such route: {request.method} {request.path}", 404)

    def _truth(self, table: str) -> Iterator[bytes]:
        if table not in truth.TABLES:
            known = ", ".join(truth.TABLES)
            raise ControlError(f"no such table: {table!r}; there are {known}", 404)
        return truth.stream(self._store.database, table)

    def _pending(self) -> dict[str, int]:
        return {
            "webhooks": self._store.deliveries.count(),
            "in_flight": self._metrics.in_flight,
        }

    def _add_endpoint(self, body: bytes) -> Answer:
        wanted = bodies.endpoint(body, self._backstage.clock.now_s())
        with self._store.transaction():
            made = self._store.events.add_endpoint(wanted)
        shown = {
            "id": made.id,
            "url": made.url,
            "enabled_events": made.enabled_events,
            "account": made.account,
        }
        return _json(201, shown)

    def _show_rules(self) -> Answer:
        shown = [self._faults.show(entry) for entry in self._faults.book.entries()]
        return _json(200, {"rules": shown})

    def _one_rule(self, method: str, id_: str) -> Answer:
        entry = self._faults.book.get(id_)
        if entry is None:
            raise ControlError(f"no such rule: {id_!r}", 404)
        if method == "DELETE":
            return _json(200, self._faults.remove([id_])[0])
        return _json(200, self._faults.show(entry))

    def _remove_rules(self, owner: Owner) -> list[dict[str, object]]:
        """Those of one owner, or every rule where none is named."""
        every = [entry.rule.id for entry in self._faults.book.entries()]
        return self._faults.remove(every if owner is None else self._faults.ids(owner))

    def _lease(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self._faults.disarm_lease(bodies.queried_owner(request.query))
            self._on_lease()
            return _json(200, {"ttl_ms": None})
        owner, ttl_ms = bodies.lease(request.body)
        self._faults.renew_lease(owner, time.monotonic_ns(), ttl_ms)
        self._on_lease()
        return _json(200, {"ttl_ms": ttl_ms})

    def _clock(self, request: Request) -> Answer:
        expired = 0
        if request.method == "POST":
            expired = self._backstage.advance(bodies.advance_s(request.body))
            log("info", "clock_advanced", offset_s=self._backstage.clock.offset_s)
        now_s = self._backstage.clock.now_s()
        return _json(200, {"now_s": now_s, "expired_authorizations": expired})

    def _authenticate(self, id_: str, body: bytes) -> Answer:
        try:
            status = self._backstage.authenticate(id_, bodies.passed(body))
        except RefusedError as refusal:
            missing = refusal.reason == "not_found"
            message = f"no such payment intent: {id_}" if missing else f"{id_} waits for nobody"
            raise ControlError(message, 404 if missing else 409) from refusal
        return _json(200, {"payment_intent": id_, "status": status})

    def _metrics_text(self) -> bytes:
        hits = {entry.rule.id: entry.hits for entry in self._faults.book.entries()}
        pending = self._store.deliveries.count()
        return self._metrics.text(pending=pending, rule_hits=hits).encode()


def _json(status: int, value: object) -> Answer:
    return Answer(status, msgspec.json.encode(value))

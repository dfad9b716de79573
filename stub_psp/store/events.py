"""Events, the endpoints that want them, and the deliveries still to make."""

from __future__ import annotations

import json

from msgspec import Struct

from stub_psp.identifiers import seq_of
from stub_psp.store.database import Database
from stub_psp.store.objects import Page, page_rows


class Event(Struct, frozen=True):
    """Something that happened, as it is told: ``data`` is the object's JSON, frozen then."""

    id: str
    account: str
    type: str
    object: str
    reference: str | None
    created: int
    created_mono_ns: int
    request: str | None
    key: str | None
    data: bytes


class Endpoint(Struct, frozen=True):
    """Where events go. ``account`` None means those of every account."""

    seq: int
    id: str
    account: str | None
    url: str
    secret: str
    enabled_events: tuple[str, ...]
    created: int
    details: dict[str, str] = {}

    def wants(self, account: str, type_: str) -> bool:
        if self.account is not None and self.account != account:
            return False
        return "*" in self.enabled_events or type_ in self.enabled_events


class Delivery(Struct, frozen=True):
    """One event still to reach one endpoint. Times are wall clock, Unix microseconds."""

    event: int
    endpoint: int
    attempts: int
    first_us: int
    due_us: int


_EVENT = "id, account, type, object, reference, created, created_mono_ns, request, key, data"
_PENDING = "(SELECT count(*) FROM deliveries d WHERE d.event = events.seq)"


class Events:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._endpoints = {endpoint.seq: endpoint for endpoint in self._load_endpoints()}

    def add(self, event: Event, now_us: int) -> list[Delivery]:
        """Write an event and what has to be delivered; belongs inside a transaction."""
        seq = seq_of("events", event.id)
        assert seq is not None  # Store.new_id made it
        self._database.execute(
            f"INSERT INTO events (seq, {_EVENT}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                seq,
                event.id,
                event.account,
                event.type,
                event.object,
                event.reference,
                event.created,
                event.created_mono_ns,
                event.request,
                event.key,
                event.data,
            ),
        )
        deliveries = [
            Delivery(seq, endpoint.seq, 0, now_us, now_us)
            for endpoint in self._endpoints.values()
            if endpoint.wants(event.account, event.type)
        ]
        for delivery in deliveries:
            self._database.execute(
                "INSERT INTO deliveries (event, endpoint, first_us, due_us) VALUES (?,?,?,?)",
                (delivery.event, delivery.endpoint, now_us, now_us),
            )
        return deliveries

    def get(self, account: str, id_: str) -> tuple[Event, int] | None:
        """An event and how many deliveries of it are still to succeed."""
        self._database.flush()
        seq = seq_of("events", id_)
        found = None if seq is None else self.by_seq(seq)
        return found if found and found[0].id == id_ and found[0].account == account else None

    def by_seq(self, seq: int) -> tuple[Event, int] | None:
        """As :meth:`get`; deliveries that succeeded a few milliseconds ago may still count."""
        row = self._database.row(f"SELECT {_EVENT}, {_PENDING} FROM events WHERE seq = ?", (seq,))
        return (Event(*row[:10]), row[10]) if row else None

    def page(self, account: str, page: Page) -> tuple[list[tuple[Event, int]], bool] | None:
        cursors: list[int | None] = []
        for cursor in (page.after, page.before):
            if cursor is not None and self.get(account, cursor) is None:
                return None
            cursors.append(None if cursor is None else seq_of("events", cursor))
        self._database.flush()
        columns = f"{_EVENT}, {_PENDING}"
        rows, more = page_rows(self._database, "events", columns, account, page, cursors)
        return [(Event(*row[:10]), row[10]) for row in rows], more

    # Endpoints

    def add_endpoint(self, endpoint: Endpoint) -> Endpoint:
        """Write it (its ``seq`` is given here); events from now on go to it."""
        seq = self._database.insert(
            "INSERT INTO endpoints (id, account, url, secret, enabled_events, created, details)"
            " VALUES (?,?,?,?,?,?,?)",
            (
                endpoint.id,
                endpoint.account,
                endpoint.url,
                endpoint.secret,
                json.dumps(endpoint.enabled_events),
                endpoint.created,
                json.dumps(endpoint.details),
            ),
        )
        self._endpoints = {e.seq: e for e in self._load_endpoints()}
        return self._endpoints[seq]

    def remove_endpoint(self, seq: int) -> None:
        """Forget it and what it was still to be told."""
        self._database.execute("UPDATE endpoints SET deleted = 1 WHERE seq = ?", (seq,))
        self._database.execute("DELETE FROM deliveries WHERE endpoint = ?", (seq,))
        self._endpoints.pop(seq, None)

    def endpoint(self, seq: int) -> Endpoint | None:
        return self._endpoints.get(seq)

    def endpoints(self) -> list[Endpoint]:
        """Newest first."""
        return sorted(self._endpoints.values(), key=lambda e: -e.seq)

    def _load_endpoints(self) -> list[Endpoint]:
        rows = self._database.rows(
            "SELECT seq, id, account, url, secret, enabled_events, created, details"
            " FROM endpoints WHERE NOT deleted ORDER BY seq"
        )
        return [
            Endpoint(
                seq,
                id_,
                account,
                url,
                secret,
                tuple(json.loads(events)),
                created,
                json.loads(details),
            )
            for seq, id_, account, url, secret, events, created, details in rows
        ]

"""Deliveries still to make, and the log of every try."""

from __future__ import annotations

from msgspec import Struct

from stub_psp.store.database import Database
from stub_psp.store.events import Delivery


class Try(Struct, frozen=True):
    """What came of telling an endpoint once: its status, None where it gave no answer in time."""

    at_mono_ns: int
    answered_mono_ns: int  # or when the stub gave up waiting
    status: int | None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Deliveries:
    """What is written here is deferred by a few milliseconds: a kill in between repeats a
    delivery (at least once, as webhooks are), and never loses one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self) -> list[Delivery]:
        """Everything still to deliver, oldest first."""
        self._database.flush()
        rows = self._database.rows(
            "SELECT event, endpoint, attempts, first_us, due_us FROM deliveries"
            " ORDER BY due_us, event"
        )
        return [Delivery(*row) for row in rows]

    def count(self) -> int:
        self._database.flush()
        row = self._database.row("SELECT count(*) FROM deliveries")
        return int(row[0]) if row else 0

    def tried(self, delivery: Delivery, tried: Try) -> None:
        """Log one try: ``delivery.attempts`` is its number, from 1."""
        self._database.defer(
            "INSERT INTO delivery_attempts (event, endpoint, attempt, at_mono_ns,"
            " answered_mono_ns, status, delivered) VALUES (?,?,?,?,?,?,?)",
            (
                delivery.event,
                delivery.endpoint,
                delivery.attempts,
                tried.at_mono_ns,
                tried.answered_mono_ns,
                tried.status,
                tried.delivered,
            ),
        )

    def postpone(self, delivery: Delivery) -> None:
        self._database.defer(
            "UPDATE deliveries SET attempts = ?, due_us = ? WHERE event = ? AND endpoint = ?",
            (delivery.attempts, delivery.due_us, delivery.event, delivery.endpoint),
        )

    def finish(self, delivery: Delivery) -> None:
        """Nothing more to do for it: it arrived, or the stub gave up."""
        self._database.defer(
            "DELETE FROM deliveries WHERE event = ? AND endpoint = ?",
            (delivery.event, delivery.endpoint),
        )

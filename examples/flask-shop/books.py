"""The shop's books: orders, refunds and Stripe's events, in one SQLite file."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("schema.sql")


class Refused(Exception):
    """What was asked for cannot be done, and nothing was."""


class Books:
    """One connection for all threads: transactions are short, and SQLite writes one at a time."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a paid order survives a power cut
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(SCHEMA.read_text())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._db.execute(sql, values)]

    def ping(self) -> None:
        """Raises sqlite3.Error when the file cannot be read."""
        self._all("SELECT count(*) FROM orders WHERE status = 'pending'")

    # Orders

    def place(self, key: str, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """The order that `key` stands for, and whether it is new. Raises Refused."""
        asked = f"{wanted['reference']} {wanted['total']} {wanted['currency']}"
        with self._transaction() as db:
            found = db.execute("SELECT * FROM orders WHERE idempotency_key = ?", (key,)).fetchone()
            if found is not None:
                if found["request"] != asked:
                    raise Refused("this Idempotency-Key was used for another order")
                return dict(found), False
            now = _now_us()
            made = db.execute(
                "INSERT INTO orders (id, reference, idempotency_key, request, total, currency,"
                " payment_token, status, created_us, updated_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?) RETURNING *",
                (_new_id("ord"), wanted["reference"], key, asked, wanted["total"],
                 wanted["currency"], wanted["payment_token"], now, now),
            ).fetchone()  # fmt: skip
            return dict(made), True

    def order(self, id_: str) -> dict[str, Any] | None:
        """An order with what was refunded of it."""
        found = self._all(f"{_ORDERS} WHERE o.id = ?", id_)
        return found[0] if found else None

    def orders_of(self, reference: str) -> list[dict[str, Any]]:
        """The orders that a customer's reference names."""
        return self._all(f"{_ORDERS} WHERE o.reference = ? ORDER BY o.created_us", reference)

    def open_orders(self) -> list[dict[str, Any]]:
        """Orders that are neither paid nor given up."""
        return self._all("SELECT * FROM orders WHERE status = 'pending' ORDER BY created_us")

    def set_order(self, id_: str, status: str, payment_intent: str | None = None) -> None:
        """Note how the payment of an order ended."""
        with self._transaction() as db:
            db.execute(
                "UPDATE orders SET status = ?, payment_intent = coalesce(?, payment_intent),"
                " updated_us = ? WHERE id = ?",
                (status, payment_intent, _now_us(), id_),
            )

    # Refunds

    def ask_refund(self, key: str, order_id: str, amount: int) -> tuple[dict[str, Any], bool]:
        """The refund that `key` stands for, and whether it is new. Raises Refused."""
        with self._transaction() as db:
            found = db.execute("SELECT * FROM refunds WHERE idempotency_key = ?", (key,)).fetchone()
            if found is not None:
                if (found["order_id"], found["amount"]) != (order_id, amount):
                    raise Refused("this Idempotency-Key was used for another refund")
                return dict(found), False
            order = db.execute(f"{_ORDERS} WHERE o.id = ?", (order_id,)).fetchone()
            if order["status"] != "paid":
                raise Refused(f"the order is {order['status']}, so there is nothing to refund")
            if order["refunded"] + order["refunding"] + amount > order["total"]:
                raise Refused("that is more than was paid")
            now = _now_us()
            made = db.execute(
                "INSERT INTO refunds (id, order_id, idempotency_key, amount, status, created_us,"
                " updated_us) VALUES (?, ?, ?, ?, 'pending', ?, ?) RETURNING *",
                (_new_id("rf"), order_id, key, amount, now, now),
            ).fetchone()
            return dict(made), True

    def refund(self, id_: str) -> dict[str, Any]:
        """A refund that is known to exist."""
        return self._all("SELECT * FROM refunds WHERE id = ?", id_)[0]

    def open_refunds(self) -> list[dict[str, Any]]:
        """Refunds of which nobody knows yet whether Stripe has made them."""
        return self._all("SELECT * FROM refunds WHERE status = 'pending' ORDER BY created_us")

    def set_refund(self, id_: str, status: str, stripe_refund: str | None = None) -> None:
        """Note how a refund ended."""
        with self._transaction() as db:
            db.execute(
                "UPDATE refunds SET status = ?, stripe_refund = coalesce(?, stripe_refund),"
                " updated_us = ? WHERE id = ?",
                (status, stripe_refund, _now_us(), id_),
            )

    # Stripe's events

    def take_event(self, event: Mapping[str, Any]) -> None:
        """Do what an event says, once, however often it is delivered."""
        told = event["data"]["object"]
        metadata = told.get("metadata") or {}
        with self._transaction() as db:
            (deliveries,) = db.execute(
                "INSERT INTO stripe_events VALUES (?, ?, ?, ?, 1, 0, ?)"
                " ON CONFLICT (id) DO UPDATE SET deliveries = deliveries + 1 RETURNING deliveries",
                (event["id"], event["type"], told["id"], metadata.get("order_ref"), _now_us()),
            ).fetchone()
            if deliveries > 1:
                return
            effects = _apply(db, event["type"], told["id"], metadata)
            db.execute("UPDATE stripe_events SET effects = ? WHERE id = ?", (effects, event["id"]))


#: An order, with what was given back and what is about to be.
_ORDERS = """
SELECT o.*,
  (SELECT coalesce(sum(amount), 0) FROM refunds r
   WHERE r.order_id = o.id AND r.status = 'done') AS refunded,
  (SELECT coalesce(sum(amount), 0) FROM refunds r
   WHERE r.order_id = o.id AND r.status = 'pending') AS refunding
FROM orders o
"""


def _apply(db: sqlite3.Connection, type_: str, object_: str, metadata: Mapping[str, str]) -> int:
    """How many rows an event changed. What is decided already is left as it is."""
    if type_ in ("payment_intent.succeeded", "payment_intent.payment_failed"):
        status = "paid" if type_ == "payment_intent.succeeded" else "declined"
        return db.execute(
            "UPDATE orders SET status = ?, payment_intent = ?, updated_us = ?"
            " WHERE id = ? AND status = 'pending'",
            (status, object_, _now_us(), metadata.get("order_id")),
        ).rowcount
    if type_ == "refund.created":
        return db.execute(
            "UPDATE refunds SET status = 'done', stripe_refund = ?, updated_us = ?"
            " WHERE id = ? AND status = 'pending'",
            (object_, _now_us(), metadata.get("refund_id")),
        ).rowcount
    return 0


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(8)}"


def _now_us() -> int:
    return time.time_ns() // 1000

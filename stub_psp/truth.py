"""The god view: what really happened, a row a line, whatever was answered.

Columns end in ``_mono_ns`` for CLOCK_MONOTONIC nanoseconds, which mean the same to every
process on the machine and go on across restarts, and in ``_s`` for the stub's own clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from stub_psp.engine.values import Charge, Refund
from stub_psp.store.database import Database

BATCH = 500
Row = dict[str, Any]
_encode_lines = msgspec.json.Encoder().encode_lines
_charge = msgspec.json.Decoder(Charge).decode
_refund = msgspec.json.Decoder(Refund).decode

_ATTEMPTS = (
    "request, account, endpoint, reference, key, received_mono_ns, answered_mono_ns, status,"
    " replayed, rule, point, payment_intent, charge"
)
_EPOCHS = ("request", "epoch", "received_mono_ns")
_EVENTS = "id, type, object, reference"
_DELIVERIES = (
    *("event", "type", "object", "reference", "attempt"),
    *("at_mono_ns", "answered_mono_ns", "status", "delivered"),
)


def stream(database: Database, table: str) -> Iterator[bytes]:
    """Newline-delimited JSON of a table of ``TABLES``, in batches, oldest first."""
    database.flush()
    for select, row in TABLES[table]:
        seq = 0
        while rows := database.rows(f"{select} LIMIT {BATCH}", (seq,)):
            seq = rows[-1][0]
            yield _encode_lines([row(values[1:]) for values in rows])


def _attempt(values: tuple[Any, ...]) -> Row:
    row = dict(zip(_ATTEMPTS.split(", "), values, strict=True))
    row["replayed"] = bool(row["replayed"])
    return row


def _charge_row(values: tuple[Any, ...]) -> Row:
    value, key, request, mono_ns = values
    charge = _charge(value)
    return {
        "charge": charge.id,
        "payment_intent": charge.intent,
        "reference": charge.reference,
        "key": key,
        "request": request,
        "amount_minor": charge.amount,
        "captured_minor": charge.amount_captured,
        "refunded_minor": charge.amount_refunded,
        "currency": charge.currency,
        "status": charge.status,
        "captured": charge.captured,
        "created_mono_ns": mono_ns,
        "clock_s": charge.created,
    }


def _refund_row(values: tuple[Any, ...]) -> Row:
    value, key, request, mono_ns = values
    refund = _refund(value)
    return {
        "refund": refund.id,
        "charge": refund.charge,
        "payment_intent": refund.intent,
        "reference": refund.reference,
        "key": key,
        "request": request,
        "amount_minor": refund.amount,
        "currency": refund.currency,
        "status": refund.status,
        "created_mono_ns": mono_ns,
        "clock_s": refund.created,
    }


def _event_row(values: tuple[Any, ...]) -> Row:
    row = dict(zip(_DELIVERIES, values, strict=True))
    row["delivered"] = bool(row["delivered"])
    return row


def _epoch_row(values: tuple[Any, ...]) -> Row:
    return dict(zip(_EPOCHS, values, strict=True))


TABLES = {
    "psp_attempts": [
        (f"SELECT seq, {_ATTEMPTS} FROM attempts WHERE seq > ? ORDER BY seq", _attempt)
    ],
    "psp_charges": [
        (
            "SELECT seq, value, key, request, created_mono_ns FROM charges WHERE seq > ?"
            " ORDER BY seq",
            _charge_row,
        )
    ],
    "psp_refunds": [
        (
            "SELECT seq, value, key, request, created_mono_ns FROM refunds WHERE seq > ?"
            " ORDER BY seq",
            _refund_row,
        )
    ],
    "psp_epochs": [
        (
            "SELECT seq, request, epoch, received_mono_ns FROM epochs WHERE seq > ? ORDER BY seq",
            _epoch_row,
        )
    ],
    # Attempt 0 is the making of the event, then every try to deliver it.
    "psp_events": [
        (
            f"SELECT seq, {_EVENTS}, 0, created_mono_ns, NULL, NULL, 0 FROM events WHERE seq > ?"
            " ORDER BY seq",
            _event_row,
        ),
        (
            "SELECT a.seq, e.id, e.type, e.object, e.reference, a.attempt, a.at_mono_ns,"
            " a.answered_mono_ns, a.status, a.delivered FROM delivery_attempts a"
            " JOIN events e ON e.seq = a.event WHERE a.seq > ? ORDER BY a.seq",
            _event_row,
        ),
    ],
}

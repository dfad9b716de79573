"""How much is still to be settled."""

from __future__ import annotations

from dataclasses import dataclass

from payresil.refpay.books.database import Executor


@dataclass(frozen=True, slots=True)
class InFlight:
    """Counts of what is not final yet. ``refunds`` holds captures and cancellations too.

    ``inbox`` counts events of payments we have that are not applied: none, as an event is
    recorded in the transaction that applies it.
    """

    payments: int
    refunds: int
    outbox: int
    inbox: int


async def count_in_flight(executor: Executor) -> InFlight:
    """Raises DatabaseDownError or DatabaseUnknownError."""
    row = await executor.row(
        "select (select count(*) from payments where state = 'processing') as payments,"
        " (select count(*) from operations where state = 'processing') as refunds,"
        " (select count(*) from outbox where sent_at is null) as outbox,"
        " (select count(*) from inbox where state = 'received' and payment is not null) as inbox"
    )
    assert row is not None
    return InFlight(*row.values())

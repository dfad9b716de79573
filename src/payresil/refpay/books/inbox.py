"""Events of the PSP: what was received, and what it did."""

from __future__ import annotations

from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import Event


async def receive(executor: Executor, event: Event) -> str:
    """Record an event and its effect in one transaction.

    The result: applied (it changed something, now or at an earlier delivery) | ignored (there
    was nothing to change) | received (no payment of ours: kept for the reconciliation job).
    """
    row = await executor.row(
        "select * from event_receive($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        event.id, event.type, event.object, event.reference, event.payment, event.operation,
        event.psp_payment, event.to, event.captured_minor, event.reason,
    )  # fmt: skip
    assert row is not None
    state: str = row["state"]
    return state

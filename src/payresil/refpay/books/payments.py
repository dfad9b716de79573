"""Payments in the books."""

from __future__ import annotations

from payresil.refpay.books.database import Executor, Row
from payresil.refpay.books.values import Admission, NewPayment, Outcome, Payment

_COLUMNS = """
    id, reference, amount_minor, currency, capture, state, captured_minor, refunded_minor,
    reason, psp_payment, method, asked,
    state = 'processing' and not answered and coalesce(lease_until > now(), false) as in_flight,
    created_at
"""


def _payment(row: Row) -> Payment:
    return Payment(*row.values())


async def admit(executor: Executor, new: NewPayment) -> Admission:
    """Commit a payment with its key, or find what the key made before.

    It is fresh too where an earlier try of this very request was committed without an answer.
    """
    row = await executor.row(
        "select * from payment_admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        new.key, new.fingerprint, new.id, new.reference, new.amount_minor, new.currency,
        new.capture, new.method, new.instance, new.lease_ms, new.request, new.until,
    )  # fmt: skip
    assert row is not None
    return Admission(*row.values())


async def move(executor: Executor, outcome: Outcome) -> tuple[bool, Row] | None:
    """Move a payment to what the PSP says; (changed, the state it has now).

    None where there is no such payment.
    """
    row = await executor.row(
        "select * from payment_move($1, $2, $3, $4, $5, $6, $7)",
        outcome.id, outcome.to, outcome.cause, outcome.psp_object, outcome.charge,
        outcome.captured_minor, outcome.reason,
    )  # fmt: skip
    return (row["changed"], row) if row else None


async def get(executor: Executor, id_: str) -> Payment | None:
    """One payment, as it is on the synchronous standbys too, if there are any."""
    row = await executor.row(f"select {_COLUMNS} from payments where id = $1 and replicated()", id_)
    return _payment(row) if row else None


async def by_reference(executor: Executor, reference: str) -> list[Payment]:
    """Oldest first, as they are on the synchronous standbys too, if there are any."""
    rows = await executor.rows(
        f"select {_COLUMNS} from payments where reference = $1 and replicated()"
        " order by created_at, id",
        reference,
    )
    return [_payment(row) for row in rows]


async def every(executor: Executor) -> list[Payment]:
    """All of them, oldest first."""
    rows = await executor.rows(f"select {_COLUMNS} from payments order by created_at, id")
    return [_payment(row) for row in rows]


async def release(executor: Executor, id_: str, instance: str, wait_ms: int) -> bool:
    """The caller was told "processing": whoever comes after ``wait_ms`` may ask the PSP.

    False where the payment is not in processing any more.
    """
    row = await executor.row(
        "update payments set answered = true, asked = asked + 1, leased_by = $2,"
        " lease_until = now() + $3::int * interval '1 ms'"
        " where id = $1 and state = 'processing' returning id",
        id_, instance, wait_ms,
    )  # fmt: skip
    return row is not None


async def renew(executor: Executor, ids: list[str], instance: str, lease_ms: int) -> list[Payment]:
    """Of these payments the ones still in processing, with a new lease."""
    rows = await executor.rows(
        "update payments set leased_by = $2, asked = asked + 1,"
        " lease_until = now() + $3::int * interval '1 ms'"
        f" where id = any($1::text[]) and state = 'processing' returning {_COLUMNS}",
        ids, instance, lease_ms,
    )  # fmt: skip
    return [_payment(row) for row in rows]


async def take_unknown(
    executor: Executor, instance: str, lease_ms: int, limit: int
) -> list[Payment]:
    """Payments whose outcome is unknown and that nobody works on; each is ours for a while."""
    rows = await executor.rows(
        "update payments set lease_until = now() + $2::int * interval '1 ms', leased_by = $1,"
        " asked = asked + 1"
        " where id in (select id from payments where state = 'processing'"
        "  and lease_until < now() order by lease_until limit $3 for update skip locked)"
        f" returning {_COLUMNS}",
        instance, lease_ms, limit,
    )  # fmt: skip
    return [_payment(row) for row in rows]


async def take_over(executor: Executor, instance: str) -> int:
    """At start: what this instance was at when it ended is for anyone to finish."""
    rows = await executor.rows(
        "update payments set lease_until = now(), answered = true"
        " where state = 'processing' and leased_by = $1 returning id",
        instance,
    )
    return len(rows)


async def take_over_from_others(executor: Executor, region: str) -> int:
    """In a new epoch: what other regions were at is for this one to finish."""
    rows = await executor.rows(
        "update payments set lease_until = now(), answered = true, leased_by = null"
        " where state = 'processing' and split_part(leased_by, '/', 1) <> $1 returning id",
        region,
    )
    return len(rows)

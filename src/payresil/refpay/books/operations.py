"""Refunds, captures and cancellations in the books."""

from __future__ import annotations

from payresil.refpay.books.database import Executor, Row
from payresil.refpay.books.values import NewOperation, Operation, OperationAdmission, Outcome

_COLUMNS = """
    o.id, o.kind, o.payment, p.reference, o.amount_minor, o.currency, o.state, o.reason,
    o.psp_object, p.psp_payment, o.asked,
    o.state = 'processing' and not o.answered and coalesce(o.lease_until > now(), false)
        as in_flight,
    o.created_at
"""


def _operation(row: Row) -> Operation:
    return Operation(*row.values())


async def admit(executor: Executor, new: NewOperation) -> OperationAdmission:
    """Commit an operation with its key, within what its payment allows.

    It is fresh too where an earlier try of this very request was committed without an answer.
    """
    row = await executor.row(
        "select * from operation_admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.key, new.fingerprint, new.id, new.kind, new.payment, new.amount_minor, new.instance,
        new.lease_ms, new.request, new.until,
    )  # fmt: skip
    assert row is not None
    return OperationAdmission(*row.values())


async def move(executor: Executor, outcome: Outcome) -> tuple[bool, Row] | None:
    """Move an operation to what the PSP says; (changed, the state it has now)."""
    row = await executor.row(
        "select * from operation_move($1, $2, $3, $4, $5)",
        outcome.id, outcome.to, outcome.cause, outcome.psp_object, outcome.reason,
    )  # fmt: skip
    return (row["changed"], row) if row else None


async def get(executor: Executor, id_: str) -> Operation | None:
    """One operation, as it is on the synchronous standbys too, if there are any."""
    row = await executor.row(
        f"select {_COLUMNS} from operations o join payments p on p.id = o.payment"
        " where o.id = $1 and replicated()",
        id_,
    )
    return _operation(row) if row else None


async def of_payment(executor: Executor, payment: str) -> list[Operation]:
    """Oldest first."""
    rows = await executor.rows(
        f"select {_COLUMNS} from operations o join payments p on p.id = o.payment"
        " where o.payment = $1 order by o.created_at, o.id",
        payment,
    )
    return [_operation(row) for row in rows]


async def every(executor: Executor) -> list[Operation]:
    """All of them, oldest first."""
    rows = await executor.rows(
        f"select {_COLUMNS} from operations o join payments p on p.id = o.payment"
        " order by o.created_at, o.id"
    )
    return [_operation(row) for row in rows]


async def release(
    executor: Executor, id_: str, instance: str, wait_ms: int, psp_object: str | None
) -> bool:
    """The caller was told "processing": whoever comes after ``wait_ms`` may ask the PSP."""
    row = await executor.row(
        "update operations set answered = true, asked = asked + 1, leased_by = $2,"
        " lease_until = now() + $3::int * interval '1 ms',"
        " psp_object = coalesce($4, psp_object)"
        " where id = $1 and state = 'processing' returning id",
        id_, instance, wait_ms, psp_object,
    )  # fmt: skip
    return row is not None


async def take_unknown(
    executor: Executor, instance: str, lease_ms: int, limit: int
) -> list[Operation]:
    """Operations whose outcome is unknown and that nobody works on; each is ours for a while."""
    rows = await executor.rows(
        "update operations o set lease_until = now() + $2::int * interval '1 ms',"
        " leased_by = $1, asked = o.asked + 1 from payments p"
        " where p.id = o.payment and o.id in (select id from operations"
        "  where state = 'processing' and lease_until < now()"
        "  order by lease_until limit $3 for update skip locked)"
        f" returning {_COLUMNS}",
        instance, lease_ms, limit,
    )  # fmt: skip
    return [_operation(row) for row in rows]


async def take_over(executor: Executor, instance: str) -> int:
    """At start: what this instance was at when it ended is for anyone to finish."""
    rows = await executor.rows(
        "update operations set lease_until = now(), answered = true"
        " where state = 'processing' and leased_by = $1 returning id",
        instance,
    )
    return len(rows)


async def take_over_from_others(executor: Executor, region: str) -> int:
    """In a new epoch: what other regions were at is for this one to finish."""
    rows = await executor.rows(
        "update operations set lease_until = now(), answered = true, leased_by = null"
        " where state = 'processing' and split_part(leased_by, '/', 1) <> $1 returning id",
        region,
    )
    return len(rows)

"""Checks what is left to refund without a lock: refunds at the same time all fit.

The sum is read in one statement and the refund is inserted in the next. Exposed by several
partial refunds of one payment at once, where the PSP does not refuse them itself.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import operations
from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import NewOperation, OperationAdmission
from payresil.refpay.policies import Policies


async def _reserve(executor: Executor, new: NewOperation) -> OperationAdmission:
    row = await executor.row(
        "select p.state, p.captured_minor - coalesce((select sum(o.amount_minor)"
        " from operations o where o.payment = p.id and o.kind = 'refund'"
        " and o.state <> 'failed'), 0)::bigint as left_over,"
        " exists (select from idempotency_keys k where k.key = $2) as used"
        " from payments p where p.id = $1",
        new.payment, new.key,
    )  # fmt: skip
    amount = new.amount_minor or (row["left_over"] if row else 0)
    if row is None or row["used"] or row["state"] != "succeeded" or amount > row["left_over"]:
        return await operations.admit(executor, new)  # which says no in the right words
    inserted = await executor.row(
        "select * from operation_insert($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.key, new.fingerprint, new.id, new.kind, new.payment, amount, new.instance,
        new.lease_ms, new.request,
    )  # fmt: skip
    assert inserted is not None
    return OperationAdmission(*inserted.values())


def apply(sound: Policies) -> Policies:
    return replace(sound, reserve=_reserve)

"""Looks for the key, and then inserts it: requests at the same time all find it free.

The unique key is not what decides, so the second insert is quietly dropped and its payment goes
on. Exposed by several requests with one key at once, the more so when the database is slow.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import payments
from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import Admission, NewPayment
from payresil.refpay.policies import Policies
from payresil.refpay.work.identifiers import new_id


async def _admit(executor: Executor, new: NewPayment) -> Admission:
    made = await executor.row(
        "select fingerprint, operation, resource from idempotency_keys where key = $1", new.key
    )
    if made is not None:
        return Admission(False, made["fingerprint"], made["operation"], made["resource"])
    # A key of its own for the row, so that nothing stops it; the caller's key comes after.
    id_ = new_id("pay")
    own = replace(new, key=f"unchecked:{id_}", id=id_)
    admission = await payments.admit(executor, own)
    await executor.row(
        "insert into idempotency_keys (key, fingerprint, operation, resource, request)"
        " values ($1, $2, 'pay', $3, $4) on conflict do nothing",
        new.key, new.fingerprint, id_, new.request,
    )  # fmt: skip
    return admission


def apply(sound: Policies) -> Policies:
    return replace(sound, admit=_admit)

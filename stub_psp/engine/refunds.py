"""Giving captured money back: never more than was taken."""

from __future__ import annotations

from msgspec.structs import replace

from stub_psp.engine.values import (
    Change,
    Charge,
    Happening,
    Kind,
    PaymentIntent,
    Refund,
    RefusedError,
)


def refund(
    intent: PaymentIntent,
    charge: Charge,
    amount: int | None,
    *,
    refund_id: str,
    now: int,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Change:
    """Give ``amount`` back, or all that is left.

    Raises RefusedError ``not_refundable`` where nothing was captured, ``already_refunded`` where
    nothing is left, ``amount_exceeds_refundable`` where less is left than asked for.
    """
    if charge.status != "succeeded" or not charge.captured:
        raise RefusedError("not_refundable", intent=intent, charge=charge)
    left = charge.amount_captured - charge.amount_refunded
    if left == 0:
        raise RefusedError("already_refunded", charge=charge)
    amount = left if amount is None else amount
    if amount > left:
        raise RefusedError("amount_exceeds_refundable", charge=charge, amount=amount, left=left)
    given = Refund(
        id=refund_id,
        account=charge.account,
        created=now,
        charge=charge.id,
        intent=charge.intent,
        amount=amount,
        currency=charge.currency,
        reason=reason,
        reference=charge.reference,
        metadata=metadata or {},
    )
    reduced = replace(charge, amount_refunded=charge.amount_refunded + amount)
    return Change(
        intent,
        charge=reduced,
        refund=given,
        happenings=(
            Happening(Kind.REFUND_CREATED, given),
            Happening(Kind.CHARGE_REFUNDED, reduced),
        ),
    )

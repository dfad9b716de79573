"""Giving captured money back: never more than was taken, unless nobody looks."""

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
    checked: bool = True,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Change:
    """Give ``amount`` back, or all that is left.

    Not ``checked`` it gives whatever is asked for, also where less is left; and all that was
    captured, where no amount is named and nothing is left.

    Raises RefusedError ``not_refundable`` where nothing was captured, ``already_refunded`` where
    nothing is left, ``amount_exceeds_refundable`` where less is left than asked for.
    """
    if charge.status != "succeeded" or not charge.captured:
        raise RefusedError("not_refundable", intent=intent, charge=charge)
    left = charge.amount_captured - charge.amount_refunded
    if checked and left <= 0:
        raise RefusedError("already_refunded", charge=charge)
    if amount is None:
        amount = left if left > 0 else charge.amount_captured
    if checked and amount > left:
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

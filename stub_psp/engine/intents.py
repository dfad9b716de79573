"""The life of a payment intent, as Stripe's PaymentIntents lifecycle page has it.

States: requires_payment_method, requires_confirmation, requires_action, requires_capture,
succeeded, canceled. Cards skip ``processing``. Each function takes the objects as they are and
gives a :class:`Change`, or raises :class:`RefusedError` and has changed nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from stub_psp.engine.values import (
    Change,
    Charge,
    Decline,
    Happening,
    Kind,
    PaymentIntent,
    PaymentMethod,
    RefusedError,
)

#: Authorizations are given back after this long without a capture (Stripe: 7 days by default).
AUTHORIZATION_S = 7 * 86_400

_OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_CANCELABLE = _OPEN | {"requires_capture"}


def create(intent: PaymentIntent) -> Change:
    """Open an intent; it waits for a payment method, or for confirmation where it has one."""
    status = "requires_confirmation" if intent.method else "requires_payment_method"
    opened = replace(intent, status=status)
    return Change(opened, happenings=(Happening(Kind.INTENT_CREATED, opened),))


def confirm(
    intent: PaymentIntent, method: PaymentMethod | None, charge_id: str, now: int
) -> Change:
    """Try to pay with ``method``, or with the one attached before."""
    if intent.status not in _OPEN:
        raise RefusedError("unexpected_state", intent=intent, action="confirm")
    method = method or intent.method
    if method is None:
        raise RefusedError("no_payment_method", intent=intent)
    if method.card.outcome.startswith("authenticate"):
        waiting = replace(
            intent, status="requires_action", method=method, decline=None, declined_method=None
        )
        happened = (Happening(Kind.INTENT_REQUIRES_ACTION, waiting),)
        return Change(waiting, happenings=happened)
    return _ask_issuer(intent, method, method.card.outcome, charge_id, now)


def authenticate(intent: PaymentIntent, passed: bool, charge_id: str, now: int) -> Change:
    """The cardholder acted (3-D Secure): go on to the issuer, or back for another method."""
    if intent.status != "requires_action" or intent.method is None:
        raise RefusedError("unexpected_state", intent=intent, action="authenticate")
    outcome = "authentication_failed"
    if passed:
        outcome = intent.method.card.outcome.partition(":")[2] or "approve"
    return _ask_issuer(intent, intent.method, outcome, charge_id, now)


def capture(intent: PaymentIntent, charge: Charge, amount: int | None, now: int) -> Change:
    """Take the authorized money, all of it or ``amount``; the rest is given back."""
    if intent.status == "succeeded" and intent.capture_method == "manual":
        raise RefusedError("already_captured", intent=intent)
    if intent.status != "requires_capture":
        raise RefusedError("unexpected_state", intent=intent, action="capture")
    amount = intent.amount_capturable if amount is None else amount
    if amount > intent.amount_capturable:
        raise RefusedError("amount_exceeds_capturable", intent=intent, amount=amount)
    paid = replace(charge, captured=True, amount_captured=amount, released=amount < charge.amount)
    done = replace(intent, status="succeeded", amount_capturable=0, amount_received=amount)
    return Change(
        done,
        charge=paid,
        happenings=(
            Happening(Kind.CHARGE_CAPTURED, paid),
            Happening(Kind.INTENT_SUCCEEDED, done),
        ),
    )


def cancel(intent: PaymentIntent, charge: Charge | None, reason: str | None, now: int) -> Change:
    """Give up on an intent that took no money; an authorization is released."""
    if intent.status not in _CANCELABLE:
        raise RefusedError("unexpected_state", intent=intent, action="cancel")
    canceled = replace(
        intent,
        status="canceled",
        canceled_at=now,
        cancellation_reason=reason,
        amount_capturable=0,
    )
    held = charge if intent.status == "requires_capture" else None
    return Change(
        canceled,
        charge=replace(held, released=True) if held else None,
        happenings=(Happening(Kind.INTENT_CANCELED, canceled),),
    )


def expire(intent: PaymentIntent, charge: Charge, now: int) -> Change | None:
    """Release an authorization nobody captured in time; None while it still holds."""
    if intent.status != "requires_capture" or intent.authorized_at is None:
        return None
    if now < intent.authorized_at + AUTHORIZATION_S:
        return None
    change = cancel(intent, charge, "automatic", now)
    assert change.charge is not None  # requires_capture implies an authorized charge
    happened = (Happening(Kind.CHARGE_EXPIRED, change.charge), *change.happenings)
    return replace(change, happenings=happened)


def _ask_issuer(
    intent: PaymentIntent, method: PaymentMethod, outcome: str, charge_id: str, now: int
) -> Change:
    charge = Charge(
        id=charge_id,
        account=intent.account,
        created=now,
        intent=intent.id,
        amount=intent.amount,
        currency=intent.currency,
        method=method,
        reference=intent.reference,
        metadata=intent.metadata,
        description=intent.details.get("description"),
    )
    if outcome != "approve":
        return _declined(intent, method, charge, outcome)
    if intent.capture_method == "manual":
        return _authorized(intent, method, charge, now)
    paid = replace(charge, captured=True, amount_captured=charge.amount)
    done = replace(
        intent,
        status="succeeded",
        method=method,
        latest_charge=paid.id,
        amount_received=intent.amount,
        decline=None,
        declined_method=None,
    )
    return Change(
        done,
        charge=paid,
        happenings=(
            Happening(Kind.CHARGE_SUCCEEDED, paid),
            Happening(Kind.INTENT_SUCCEEDED, done),
        ),
    )


def _authorized(intent: PaymentIntent, method: PaymentMethod, charge: Charge, now: int) -> Change:
    held = replace(
        intent,
        status="requires_capture",
        method=method,
        latest_charge=charge.id,
        amount_capturable=intent.amount,
        authorized_at=now,
        decline=None,
        declined_method=None,
    )
    return Change(
        held,
        charge=charge,
        happenings=(
            Happening(Kind.CHARGE_SUCCEEDED, charge),
            Happening(Kind.INTENT_CAPTURABLE, held),
        ),
    )


def _declined(intent: PaymentIntent, method: PaymentMethod, charge: Charge, reason: str) -> Change:
    failed = replace(charge, status="failed", decline=reason)
    decline = Decline(reason, charge=failed.id)
    back = replace(
        intent,
        status="requires_payment_method",
        method=None,
        latest_charge=failed.id,
        decline=decline,
        declined_method=method,
    )
    return Change(
        back,
        charge=failed,
        decline=decline,
        happenings=(
            Happening(Kind.CHARGE_FAILED, failed),
            Happening(Kind.INTENT_FAILED, back),
        ),
    )


__all__ = [
    "AUTHORIZATION_S",
    "authenticate",
    "cancel",
    "capture",
    "confirm",
    "create",
    "expire",
]

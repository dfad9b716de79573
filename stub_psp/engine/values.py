"""The values that the state machine works on. Money is integer minor units."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

IntentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "succeeded",
    "canceled",
]
CaptureMethod = Literal["automatic", "manual"]


class Card(Struct, frozen=True, omit_defaults=True):
    """What may be kept of a card: never its number.

    ``outcome`` says what the simulated issuer will answer: ``approve``, ``authenticate``
    (the cardholder has to act first, then it approves), ``authenticate:<decline>``, or the
    name of a decline.
    """

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str
    outcome: str = "approve"


class PaymentMethod(Struct, frozen=True):
    id: str
    card: Card


class Decline(Struct, frozen=True):
    """An issuer's no: the reason in the engine's words, and the charge that recorded it."""

    reason: str
    charge: str | None = None


class PaymentIntent(Struct, frozen=True, omit_defaults=True):
    id: str
    account: str
    created: int
    amount: int
    currency: str
    status: IntentStatus = "requires_payment_method"
    capture_method: CaptureMethod = "automatic"
    reference: str | None = None
    method: PaymentMethod | None = None
    latest_charge: str | None = None
    amount_capturable: int = 0
    amount_received: int = 0
    authorized_at: int | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    decline: Decline | None = None
    declined_method: PaymentMethod | None = None
    metadata: dict[str, str] = {}
    #: Opaque to the engine: what the dialect echoes (description, receipt_email, …).
    details: dict[str, str] = {}


class Charge(Struct, frozen=True, omit_defaults=True):
    id: str
    account: str
    created: int
    intent: str
    amount: int
    currency: str
    method: PaymentMethod
    status: Literal["succeeded", "failed"] = "succeeded"
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    #: The authorization, or what was left of it, was given back to the cardholder.
    released: bool = False
    decline: str | None = None
    reference: str | None = None
    metadata: dict[str, str] = {}
    description: str | None = None


class Refund(Struct, frozen=True, omit_defaults=True):
    id: str
    account: str
    created: int
    charge: str
    intent: str
    amount: int
    currency: str
    status: Literal["succeeded"] = "succeeded"
    reason: str | None = None
    reference: str | None = None
    metadata: dict[str, str] = {}


PaymentObject = PaymentIntent | Charge | Refund


class Kind(StrEnum):
    """What can happen. A dialect has its own name for each."""

    INTENT_CREATED = "intent_created"
    INTENT_REQUIRES_ACTION = "intent_requires_action"
    INTENT_CAPTURABLE = "intent_capturable"
    INTENT_SUCCEEDED = "intent_succeeded"
    INTENT_FAILED = "intent_failed"
    INTENT_CANCELED = "intent_canceled"
    CHARGE_SUCCEEDED = "charge_succeeded"
    CHARGE_FAILED = "charge_failed"
    CHARGE_CAPTURED = "charge_captured"
    CHARGE_EXPIRED = "charge_expired"
    CHARGE_REFUNDED = "charge_refunded"
    REFUND_CREATED = "refund_created"


class Happening(Struct, frozen=True):
    """Something that happened, with the object as it was right then."""

    kind: Kind
    subject: PaymentObject


class Change(Struct, frozen=True):
    """What one step did: the objects as they are now, and what happened, in order.

    A step may both change things and be declined: ``decline`` is then set.
    """

    intent: PaymentIntent
    charge: Charge | None = None
    refund: Refund | None = None
    happenings: tuple[Happening, ...] = ()
    decline: Decline | None = None


class RefusedError(Exception):
    """The step is not allowed; nothing changed.

    ``reason`` is one of the names in ``REASONS``; ``detail`` are the values that explain it.
    """

    REASONS = frozenset(
        {
            "unexpected_state",
            "no_payment_method",
            "already_captured",
            "amount_exceeds_capturable",
            "amount_exceeds_refundable",
            "already_refunded",
            "not_refundable",
            "invalid_card",
            "not_found",
        }
    )

    def __init__(self, reason: str, **detail: object) -> None:
        if reason not in self.REASONS:
            raise ValueError(f"unknown reason {reason!r}")
        super().__init__(reason)
        self.reason = reason
        self.detail = detail

"""Reads the PSP's events: which of them call for a change, and of what."""

from __future__ import annotations

from typing import Any

import msgspec

from payresil.refpay.books.values import Event
from payresil.refpay.psp.answer import read_intent, read_refund
from payresil.refpay.psp.sdk import stripe

#: Seconds that a signature stays good (Stripe's default; only the past is checked).
_TOLERANCE_S = 300

_INTENT_EVENTS = frozenset({
    "payment_intent.succeeded", "payment_intent.amount_capturable_updated",
    "payment_intent.payment_failed", "payment_intent.canceled",
})  # fmt: skip
_REFUND_EVENTS = frozenset({
    "refund.created", "refund.updated", "refund.failed", "charge.refund.updated",
})  # fmt: skip


class _Data(msgspec.Struct):
    object: dict[str, Any]


class _Envelope(msgspec.Struct):
    id: str
    type: str
    data: _Data


_decode = msgspec.json.Decoder(_Envelope).decode


class SignatureError(Exception):
    """The signature is missing, wrong or too old."""


class EventError(Exception):
    """The body is signed, and still not an event."""


def read_event(body: bytes, signature: str | None, secret: str) -> Event:
    """The event in a delivery. Raises SignatureError or EventError."""
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, _TOLERANCE_S)
    except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
        raise SignatureError from error
    try:
        envelope = _decode(body)
        return interpret(envelope.id, envelope.type, envelope.data.object)
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
        raise EventError from error


def interpret(id_: str, type_: str, subject: dict[str, Any]) -> Event:
    """What an event says of which payment or operation; ``to`` is None where nothing."""
    metadata = subject.get("metadata") or {}
    is_intent = subject.get("object") == "payment_intent"
    psp_payment = subject.get("id") if is_intent else subject.get("payment_intent")
    answer = None
    if type_ in _INTENT_EVENTS and "fence" not in metadata:
        answer = read_intent(subject)
    elif type_ in _REFUND_EVENTS and metadata.get("operation"):
        answer = read_refund(subject)
    return Event(
        id=id_,
        type=type_,
        object=subject.get("id"),
        reference=metadata.get("merchant_reference"),
        payment=metadata.get("payment") or metadata.get("fence"),
        operation=metadata.get("operation"),
        psp_payment=psp_payment,
        to=answer.state if answer else None,
        captured_minor=answer.captured_minor if answer else 0,
        reason=answer.reason if answer else None,
    )

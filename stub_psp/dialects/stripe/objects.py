"""Stripe's JSON of intents, charges, refunds and events (API version of ``VERSION``)."""

from __future__ import annotations

import msgspec

from stub_psp.dialects.stripe.declines import DECLINES
from stub_psp.engine.values import (
    Card,
    Charge,
    PaymentIntent,
    PaymentMethod,
    PaymentObject,
    Refund,
)
from stub_psp.store.events import Endpoint, Event

VERSION = "2026-10-28.endive"
_encode = msgspec.json.Encoder().encode
Json = dict[str, object]


def snapshot(subject: PaymentObject) -> bytes:
    if isinstance(subject, PaymentIntent):
        return intent_json(subject)
    if isinstance(subject, Charge):
        return _encode(charge_object(subject))
    return _encode(refund_object(subject))


def intent_json(intent: PaymentIntent) -> bytes:
    return _encode(intent_object(intent))


def intent_object(intent: PaymentIntent) -> Json:
    details = intent.details
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount_capturable,
        "amount_received": intent.amount_received,
        "application": None,
        "automatic_payment_methods": _automatic(details),
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": details.get("client_secret"),
        "confirmation_method": details.get("confirmation_method", "automatic"),
        "created": intent.created,
        "currency": intent.currency,
        "customer": details.get("customer"),
        "description": details.get("description"),
        "last_payment_error": _last_error(intent),
        "latest_charge": intent.latest_charge,
        "livemode": False,
        "metadata": intent.metadata,
        "next_action": _next_action(intent),
        "payment_method": intent.method.id if intent.method else None,
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": details.get("receipt_email"),
        "setup_future_usage": details.get("setup_future_usage"),
        "shipping": None,
        "statement_descriptor": details.get("statement_descriptor"),
        "statement_descriptor_suffix": details.get("statement_descriptor_suffix"),
        "status": intent.status,
    }


def charge_object(charge: Charge) -> Json:
    code, decline_code, message = DECLINES[charge.decline] if charge.decline else (None, None, None)
    succeeded = charge.status == "succeeded"
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "balance_transaction": None,
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "customer": None,
        "description": charge.description,
        "disputed": False,
        "failure_code": code,
        "failure_message": message,
        "livemode": False,
        "metadata": charge.metadata,
        "outcome": {
            "network_status": "approved_by_network" if succeeded else "declined_by_network",
            "reason": decline_code,
            "type": "authorized" if succeeded else "issuer_declined",
        },
        "paid": succeeded,
        "payment_intent": charge.intent,
        "payment_method": charge.method.id,
        "payment_method_details": {"card": _card(charge.method.card), "type": "card"},
        "refunded": charge.captured and charge.amount_refunded >= charge.amount_captured,
        "status": charge.status,
    }


def refund_object(refund: Refund) -> Json:
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": None,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "metadata": refund.metadata,
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "receipt_number": None,
        "status": refund.status,
    }


def method_object(method: PaymentMethod, created: int) -> Json:
    return {
        "id": method.id,
        "object": "payment_method",
        "card": _card(method.card),
        "created": created,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def event_json(event: Event, pending: int) -> bytes:
    """``data.object`` is as it was when the event happened, byte for byte."""
    return _encode(event_object(event, pending))


def event_object(event: Event, pending: int) -> Json:
    return {
        "id": event.id,
        "object": "event",
        "api_version": VERSION,
        "created": event.created,
        "data": {"object": msgspec.Raw(event.data)},
        "livemode": False,
        "pending_webhooks": pending,
        "request": {"id": event.request, "idempotency_key": event.key},
        "type": event.type,
    }


def endpoint_object(endpoint: Endpoint, *, secret: bool = False) -> Json:
    shown: Json = {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": endpoint.details.get("api_version"),
        "created": endpoint.created,
        "description": endpoint.details.get("description"),
        "enabled_events": list(endpoint.enabled_events),
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": endpoint.url,
    }
    if secret:  # only ever told when it is made
        shown["secret"] = endpoint.secret
    return shown


def _card(card: Card) -> Json:
    return {
        "brand": card.brand,
        "country": "US",
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
        "funding": "credit",
        "last4": card.last4,
        "network": card.brand,
    }


def _automatic(details: dict[str, str]) -> Json | None:
    if details.get("automatic_payment_methods") != "true":
        return None
    return {"allow_redirects": details.get("allow_redirects", "always"), "enabled": True}


def _next_action(intent: PaymentIntent) -> Json | None:
    if intent.status != "requires_action":
        return None
    return_url = intent.details.get("return_url")
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    url = f"https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={intent.id}"
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": return_url, "url": url},
    }


def _last_error(intent: PaymentIntent) -> Json | None:
    if intent.decline is None:
        return None
    code, decline_code, message = DECLINES[intent.decline.reason]
    error: Json = {
        "type": "card_error",
        "code": code,
        "message": message,
        "charge": intent.decline.charge,
    }
    if decline_code is not None:
        error["decline_code"] = decline_code
    if intent.declined_method is not None:
        error["payment_method"] = method_object(intent.declined_method, intent.created)
    return error

"""What a failed request to the PSP tells: certainly not done, certainly declined, or unknown."""

from __future__ import annotations

from typing import Any

from payresil.refpay.psp.answer import PspAnswer, read_intent
from payresil.refpay.psp.sdk import stripe
from payresil.refpay.psp.transport import ConnectionRefused

#: What a request may raise. A time-out is an OSError, and comes from outside the SDK.
FAILURES = (stripe.StripeError, OSError)


def is_outage(error: BaseException) -> bool:
    """Does it say that the PSP is in trouble? A decline or a bad request does not."""
    if isinstance(error, stripe.APIConnectionError):
        return True
    if isinstance(error, stripe.StripeError):
        return (error.http_status or 0) >= 500
    return isinstance(error, OSError)


def understand(error: BaseException) -> PspAnswer:
    """The answer that one of FAILURES is. Messages are not kept: they may quote the request."""
    if isinstance(error, stripe.CardError):
        return _declined(error)
    if isinstance(error, stripe.RateLimitError):  # before the idempotency layer: not executed
        return PspAnswer("rate_limited", retry=True)
    if isinstance(error, stripe.IdempotencyError):
        return PspAnswer("key_conflict", reason="idempotency_error", stored=True)
    if isinstance(error, stripe.InvalidRequestError):
        if error.http_status == 404:
            return PspAnswer("not_found", reason=error.code)
        return PspAnswer("refused", state="failed", reason=error.code or "invalid_request")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return PspAnswer("unauthorized")  # ours to repair: the payment waits
    if isinstance(error, ConnectionRefused):
        return PspAnswer("no_connection", retry=True)
    if isinstance(error, stripe.StripeError) and not isinstance(error, stripe.APIConnectionError):
        return _server_error(error)
    outcome = "timeout" if isinstance(error, TimeoutError) else "broken"
    return PspAnswer(outcome, retry=True)


def _declined(error: stripe.CardError) -> PspAnswer:
    json_body: Any = error.json_body or {}
    body = json_body.get("error", {})
    intent = body.get("payment_intent")
    reason = body.get("decline_code") or error.code
    if not intent:
        return PspAnswer("declined", state="declined", charge=body.get("charge"), reason=reason)
    read = read_intent(intent)
    return PspAnswer("declined", state="declined", psp_object=read.psp_object,
                     charge=body.get("charge") or read.charge, reason=reason)  # fmt: skip


def _server_error(error: stripe.StripeError) -> PspAnswer:
    status = error.http_status or 0
    headers = error.headers or {}
    if status == 409:  # the first request with the key is still running
        return PspAnswer("key_in_use", retry=True)
    replayed = headers.get("Idempotent-Replayed") == "true"
    advised = headers.get("Stripe-Should-Retry") != "false"
    if 200 <= status < 300:  # a body that could not be read
        return PspAnswer("broken", retry=True)
    return PspAnswer(f"http_{status}", retry=advised and not replayed, stored=replayed)

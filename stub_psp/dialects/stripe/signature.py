"""Stripe's webhook signature: HMAC-SHA256 over ``{t}.{raw body}`` with the endpoint's secret.

As ``stripe.WebhookSignature`` of the official SDK checks it; every delivery attempt has its own
time, so its own signature.
"""

from __future__ import annotations

import hmac


def sign(body: bytes, secret: str, now_s: int) -> str:
    """Give the value of the ``Stripe-Signature`` header."""
    signed = b"%d." % now_s + body
    return f"t={now_s},v1={hmac.new(secret.encode(), signed, 'sha256').hexdigest()}"

"""The requests that the service makes to the PSP."""

from __future__ import annotations

from payresil.refpay.books.values import Operation, Payment
from payresil.refpay.psp.answer import Json, PspRequest, read_body, read_intent, read_refund


def create_payment(payment: Payment, method: Json) -> PspRequest:
    """Create and confirm at once. ``method``: the parameters that say how it is paid.

    A card that needs its holder (3-D Secure) is a decline: this service has no browser to send.
    """
    params: dict[str, object] = {
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "capture_method": payment.capture,
        "confirm": True,
        "error_on_requires_action": True,
        "payment_method_types": ["card"],
        "metadata": _metadata(payment.reference, payment=payment.id),
        **method,
    }
    return PspRequest("payment_intents.create", "post", "/v1/payment_intents", params, read_intent)


def fence_payment(payment: Payment) -> PspRequest:
    """Use up a payment's key with an intent that cannot charge anybody.

    Succeeds only where the real request was never executed, and then it never will be; where it
    was, the PSP refuses the key for having other parameters.
    """
    params = {
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "payment_method_types": ["card"],
        "metadata": {"fence": payment.id},
    }
    return PspRequest("payment_intents.create", "post", "/v1/payment_intents", params, read_body)


def find_payments(reference: str) -> PspRequest:
    """Every intent with the merchant's reference (no quotes in it: the API checks that)."""
    return PspRequest(
        "payment_intents.search", "get", "/v1/payment_intents/search",
        {"query": f"metadata['merchant_reference']:'{reference}'", "limit": 100}, read_body,
    )  # fmt: skip


def get_payment(psp_payment: str) -> PspRequest:
    return PspRequest(
        "payment_intents.retrieve", "get", f"/v1/payment_intents/{psp_payment}", {}, read_intent
    )


def operate(operation: Operation) -> PspRequest:
    """The request of a refund, capture or cancellation."""
    if operation.kind == "refund":
        return refund(
            {"payment_intent": operation.psp_payment, "amount": operation.amount_minor},
            _metadata(operation.reference, payment=operation.payment, operation=operation.id),
        )
    params = {"amount_to_capture": operation.amount_minor} if operation.kind == "capture" else {}
    path = f"/v1/payment_intents/{operation.psp_payment}/{operation.kind}"
    return PspRequest(f"payment_intents.{operation.kind}", "post", path, params, read_intent)


def refund(what: Json, metadata: Json) -> PspRequest:
    """A refund of ``what``: a charge or payment intent, and an amount."""
    params = {**what, "metadata": metadata}
    return PspRequest("refunds.create", "post", "/v1/refunds", params, read_refund)


def get_refund(psp_refund: str) -> PspRequest:
    return PspRequest("refunds.retrieve", "get", f"/v1/refunds/{psp_refund}", {}, read_refund)


def list_page(kind: str, **filters: object) -> PspRequest:
    """A page of ``payment_intents`` or ``refunds``, newest first."""
    params = {"limit": 100, **filters}
    return PspRequest(f"{kind}.list", "get", f"/v1/{kind}", params, read_body)


def _metadata(reference: str, **ids: str) -> dict[str, str]:
    return {"merchant_reference": reference, **ids}

"""What callers get back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from starlette.responses import Response

from payresil.refpay.books.values import Operation, Payment

#: State of a payment or operation → status of an answer about it. A decline and a failure are
#: final answers; "processing" is not.
_STATUS = {"processing": 202, "declined": 402, "failed": 402}

_encode = msgspec.json.Encoder().encode


def answer(
    status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    return Response(_encode(body), status, headers, "application/json")


def refuse(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    return answer(status, {"error": {"code": code, "message": message}}, headers)


def payment_answer(payment: Payment, *, replayed: bool = False) -> Response:
    """The answer of a request to pay, new or replayed: the state it has now."""
    return _stated(payment.state, show_payment(payment), f"/payments/{payment.id}", replayed)


def operation_answer(operation: Operation, *, replayed: bool = False) -> Response:
    """The answer of a request to refund, capture or cancel."""
    place = f"/{operation.kind}s/{operation.id}"
    return _stated(operation.state, show_operation(operation), place, replayed)


def _stated(state: str, body: Mapping[str, object], place: str, replayed: bool) -> Response:
    headers = {"Location": place}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(_STATUS.get(state, 201), body, headers)


def show_payment(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "reference": payment.reference,
        "state": payment.state,
        "amount_minor": payment.amount_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "currency": payment.currency,
        "capture": payment.capture,
        "reason": payment.reason,
        "created_at": _moment(payment.created_at),
    }


def show_operation(operation: Operation) -> dict[str, object]:
    return {
        "id": operation.id,
        "kind": operation.kind,
        "payment": operation.payment,
        "reference": operation.reference,
        "state": operation.state,
        "amount_minor": operation.amount_minor,
        "currency": operation.currency,
        "reason": operation.reason,
        "created_at": _moment(operation.created_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None

"""``/payments``: taking a payment, reading one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from payresil.refpay.api.answers import answer, payment_answer, refuse, show_payment
from payresil.refpay.api.bodies import fingerprint, read_payment
from payresil.refpay.api.requests import check_customer, idempotency_key
from payresil.refpay.books import payments
from payresil.refpay.books.values import Admission, NewPayment
from payresil.refpay.work.identifiers import id_of_key, new_id
from payresil.refpay.work.pay import pay
from payresil.refpay.work.service import Service


async def create_payment(request: Request) -> Response:
    """``POST /payments``: 201 paid or authorized, 402 declined, 202 not known yet."""
    service = check_customer(request)
    key = idempotency_key(request)
    body = read_payment(await request.body())
    settings = service.settings
    new = NewPayment(
        key=key,
        fingerprint=fingerprint(settings.fingerprint_key, "pay", body),
        id=id_of_key("pay", settings.fingerprint_key, key),
        reference=body.reference,
        amount_minor=body.amount_minor,
        currency=body.currency,
        capture=body.capture,
        method=body.payment_method,
        instance=settings.instance,
        lease_ms=settings.lease_ms,
        request=new_id("req"),
        until=service.standing.until(),
    )
    result = await pay(service, new, body.method())
    if isinstance(result, Admission):
        return await _replay(service, new, result)
    service.log.info("payment.answered", payment=result.id, reference=result.reference,
                     state=result.state)  # fmt: skip
    return payment_answer(result)


async def _replay(service: Service, new: NewPayment, made: Admission) -> Response:
    if made.operation != "pay" or made.fingerprint != new.fingerprint:
        return refuse(400, "key_reused", "this key was used for another request: use a new one")
    payment = await payments.get(service.database, made.resource)
    if payment is None:
        return refuse(409, "in_flight", "the first request with this key is being worked on")
    if payment.in_flight:
        return refuse(409, "in_flight", "the first request with this key is being worked on",
                      {"Retry-After": "1"})  # fmt: skip
    return payment_answer(payment, replayed=True)


async def get_payment(request: Request) -> Response:
    """``GET /payments/{id}``"""
    service = check_customer(request)
    payment = await payments.get(service.database, request.path_params["id"])
    if payment is None:
        return refuse(404, "not_found", "no such payment")
    return answer(200, show_payment(payment))


async def find_payments(request: Request) -> Response:
    """``GET /payments?reference=…``: every payment with a reference, oldest first."""
    service = check_customer(request)
    reference = request.query_params.get("reference")
    if not reference:
        return refuse(400, "invalid", "send ?reference=…")
    found = await payments.by_reference(service.database, reference)
    return answer(200, {"payments": [show_payment(payment) for payment in found]})

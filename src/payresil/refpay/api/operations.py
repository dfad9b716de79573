"""``/payments/{id}/refunds``, ``…/capture``, ``…/cancel``, and reading what they made."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from payresil.refpay.api.answers import answer, operation_answer, refuse, show_operation
from payresil.refpay.api.bodies import (
    AmountBody,
    CancelBody,
    fingerprint,
    read_amount,
    read_cancel,
)
from payresil.refpay.api.requests import check_customer, idempotency_key
from payresil.refpay.books import operations, payments
from payresil.refpay.books.values import NewOperation, OperationAdmission
from payresil.refpay.work.identifiers import id_of_key, new_id
from payresil.refpay.work.operate import operate
from payresil.refpay.work.service import Service


async def create_refund(request: Request) -> Response:
    """``POST /payments/{id}/refunds``: of a part, or of all that is left."""
    return await _operate(request, "refund", read_amount(await request.body()))


async def capture_payment(request: Request) -> Response:
    """``POST /payments/{id}/capture``: of a part, or of all that is authorized."""
    return await _operate(request, "capture", read_amount(await request.body()))


async def cancel_payment(request: Request) -> Response:
    """``POST /payments/{id}/cancel``: give an authorization back."""
    return await _operate(request, "cancel", read_cancel(await request.body()))


async def _operate(request: Request, kind: str, body: AmountBody | CancelBody) -> Response:
    service = check_customer(request)
    key = idempotency_key(request)
    payment = await payments.get(service.database, request.path_params["id"])
    if payment is None:
        return refuse(404, "not_found", "no such payment")
    settings = service.settings
    new = NewOperation(
        key=key,
        fingerprint=fingerprint(settings.fingerprint_key, f"{kind} {payment.id}", body),
        id=id_of_key("ref" if kind == "refund" else "op", settings.fingerprint_key, key),
        kind=kind,
        payment=payment.id,
        amount_minor=body.amount_minor if isinstance(body, AmountBody) else None,
        instance=settings.instance,
        lease_ms=settings.lease_ms,
        request=new_id("req"),
        until=service.standing.until(),
    )
    result = await operate(service, new, payment.reference)
    if isinstance(result, OperationAdmission):
        return await _not_begun(service, new, result)
    service.log.info("operation.answered", operation=result.id, kind=kind, payment=payment.id,
                     reference=payment.reference, state=result.state)  # fmt: skip
    return operation_answer(result)


async def _not_begun(
    service: Service, new: NewOperation, admission: OperationAdmission
) -> Response:
    if admission.verdict == "not_found":
        return refuse(404, "not_found", "no such payment")
    if admission.verdict == "wrong_state":
        return refuse(422, "wrong_state", f"the payment is {admission.resource}: no {new.kind}")
    if admission.verdict == "exceeds":
        return refuse(422, "exceeds", f"no more than {admission.amount_minor} is left")
    if admission.operation != new.kind or admission.fingerprint != new.fingerprint:
        return refuse(400, "key_reused", "this key was used for another request: use a new one")
    assert admission.resource is not None
    operation = await operations.get(service.database, admission.resource)
    if operation is None or operation.in_flight:
        return refuse(409, "in_flight", "the first request with this key is being worked on",
                      {"Retry-After": "1"})  # fmt: skip
    return operation_answer(operation, replayed=True)


async def get_operation(request: Request) -> Response:
    """``GET /refunds/{id}``, ``/captures/{id}``, ``/cancels/{id}``"""
    service = check_customer(request)
    operation = await operations.get(service.database, request.path_params["id"])
    kind = request.url.path.split("/")[1].removesuffix("s")
    if operation is None or operation.kind != kind:
        return refuse(404, "not_found", f"no such {kind}")
    return answer(200, show_operation(operation))

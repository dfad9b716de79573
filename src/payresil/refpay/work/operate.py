"""Refunding, capturing and cancelling a payment: committed, asked, committed again."""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import operations
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError, Executor
from payresil.refpay.books.values import NewOperation, Operation, OperationAdmission, Outcome
from payresil.refpay.psp import requests
from payresil.refpay.psp.answer import PspAnswer
from payresil.refpay.work.service import Service


async def operate(
    service: Service, new: NewOperation, reference: str
) -> Operation | OperationAdmission:
    """The operation as far as it is known, or why it was not begun, or what the key made.

    Raises like :func:`payresil.refpay.work.pay.pay`.
    """
    admit = service.policies.reserve if new.kind == "refund" else operations.admit
    admission = await admit(service.database, new)
    if admission.verdict != "fresh":
        return admission
    assert admission.amount_minor is not None
    assert admission.currency is not None
    operation = Operation(new.id, new.kind, new.payment, reference, admission.amount_minor,
                          admission.currency, "processing",
                          psp_payment=admission.psp_payment)  # fmt: skip
    answer = await service.gateway.ask(
        requests.operate(operation), lambda attempt: service.psp_key(new.id, attempt)
    )
    answer = as_operation(operation, answer)
    try:
        if answer.state is not None:
            return await settle(service.database, operation, answer, "answer")
        await operations.release(service.database, operation.id, service.settings.instance,
                                 service.settings.resolve_every_ms, answer.psp_object)  # fmt: skip
        service.log.info("operation.unknown", operation=operation.id, kind=operation.kind,
                         payment=operation.payment, outcome=answer.outcome)  # fmt: skip
    except (DatabaseDownError, DatabaseUnknownError) as error:
        service.log.warning("operation.unwritten", operation=operation.id, psp=answer.outcome,
                            error=str(error))  # fmt: skip
    return operation


def as_operation(operation: Operation, answer: PspAnswer) -> PspAnswer:
    """What an answer means for an operation: a capture succeeds when its intent does."""
    if operation.kind == "refund" or answer.state in (None, "failed"):
        return answer
    wanted = "succeeded" if operation.kind == "capture" else "canceled"
    if answer.state == wanted:
        return replace(answer, state="succeeded")
    if answer.state == "authorized":  # not done, and it may still be
        return replace(answer, state=None)
    return replace(answer, state="failed", reason=f"payment_is_{answer.state}")


async def settle(
    executor: Executor, operation: Operation, answer: PspAnswer, cause: str
) -> Operation:
    """The operation after it was moved to what the PSP says, or as someone moved it before.

    Raises DatabaseDownError or DatabaseUnknownError.
    """
    assert answer.state is not None
    moved = await operations.move(
        executor,
        Outcome(operation.id, answer.state, cause, answer.psp_object, reason=answer.reason),
    )
    if moved is None:
        raise DatabaseDownError("the operation is not in this database")
    return replace(operation, state=moved[1]["state"], reason=moved[1]["reason"])

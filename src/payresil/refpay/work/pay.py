"""Taking a payment: intent committed, PSP asked, outcome committed."""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import payments
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError, Executor
from payresil.refpay.books.values import Admission, NewPayment, Outcome, Payment
from payresil.refpay.psp import requests
from payresil.refpay.psp.answer import Json, PspAnswer
from payresil.refpay.work.service import Service

#: How long the other instances leave a payment alone whose card this one holds.
HELD_LEASE_MS = 3000


async def pay(service: Service, new: NewPayment, method: Json) -> Payment | Admission:
    """The payment as far as it is known, or what its key made before.

    Raises DatabaseDownError where nothing durable happened, DatabaseUnknownError where the
    intent may have been committed. Once the intent is durable nothing is raised: what cannot be
    found out or written down now is "processing", and is resolved later.
    """
    async with service.policies.scope(service.database) as executor:
        admission = await service.policies.admit(executor, new)
        if not admission.fresh:
            return admission
        payment = Payment(
            admission.resource, new.reference, new.amount_minor, new.currency, new.capture,
            "processing", 0, 0, method=new.method,
        )  # fmt: skip
        request = requests.create_payment(payment, method)
        answer = await service.gateway.ask(
            request, lambda attempt: service.psp_key(payment.id, attempt)
        )
        return await _write_down(service, executor, payment, method, answer)


async def _write_down(
    service: Service, executor: Executor, payment: Payment, method: Json, answer: PspAnswer
) -> Payment:
    state = service.policies.unclear(answer)
    try:
        if state is not None:
            said = answer if answer.state == state else replace(answer, state=state)
            return await settle(executor, payment, said, "answer")
        held = payment.method is None and service.cards.hold(payment.id, method)
        wait_ms = HELD_LEASE_MS if held else service.settings.resolve_every_ms
        await payments.release(executor, payment.id, service.settings.instance, wait_ms)
        service.log.info("payment.unknown", payment=payment.id, reference=payment.reference,
                         outcome=answer.outcome)  # fmt: skip
    except (DatabaseDownError, DatabaseUnknownError) as error:
        # The intent is durable; its lease runs out, and then it is resolved like any other.
        service.log.warning("payment.unwritten", payment=payment.id, psp=answer.outcome,
                            error=str(error))  # fmt: skip
    return payment


async def settle(executor: Executor, payment: Payment, answer: PspAnswer, cause: str) -> Payment:
    """The payment after it was moved to what the PSP says, or as someone moved it before.

    Raises DatabaseDownError or DatabaseUnknownError.
    """
    assert answer.state is not None
    moved = await payments.move(
        executor,
        Outcome(payment.id, answer.state, cause, answer.psp_object, answer.charge,
                answer.captured_minor, answer.reason),
    )  # fmt: skip
    if moved is None:
        raise DatabaseDownError("the payment is not in this database")
    row = moved[1]
    return replace(
        payment,
        state=row["state"],
        captured_minor=row["captured_minor"],
        refunded_minor=row["refunded_minor"],
        reason=row["reason"],
    )

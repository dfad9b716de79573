"""What is done about each type of break. Every remedy may be applied again without harm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from payresil.refpay.books import corrections, payments
from payresil.refpay.psp import requests
from payresil.refpay.psp.answer import PspAnswer, PspRequest, read_intent
from payresil.refpay.reconcile.views import Break, BreakType, PspIntent
from payresil.refpay.work import operate, pay
from payresil.refpay.work.identifiers import new_id
from payresil.refpay.work.resolve import Resolver
from payresil.refpay.work.service import Service

#: What was done (or why nothing was), and whether the break is resolved by it.
Remedied = tuple[str, bool]

_MANUAL: Remedied = ("manual", False)


async def remedy(service: Service, found: Break) -> Remedied:
    """Raises DatabaseDownError or DatabaseUnknownError."""
    return await _REMEDIES[found.type](service, found)


async def _missing_internal(service: Service, found: Break) -> Remedied:
    """Adopt: never a second charge, never a refund of what the customer was told is paid."""
    intent = found.intent
    assert intent is not None
    id_ = intent.payment or new_id("pay")
    reference = intent.reference or f"psp:{intent.id}"
    database = service.database
    await corrections.adopt_payment(database, id_, reference, intent.amount_minor,
                                    intent.currency, intent.capture)  # fmt: skip
    payment = await payments.get(database, id_)
    assert payment is not None
    await pay.settle(database, payment, _as_answer(intent), "reconcile")
    await corrections.match_events(database, id_, intent.id, reference)
    return "adopted", True


async def _missing_psp(service: Service, found: Break) -> Remedied:
    assert found.payment is not None
    done = await corrections.void_payment(service.database, found.payment.id, "absent_at_psp")
    return ("reversed", True) if done else _MANUAL


async def _amount(service: Service, found: Break) -> Remedied:
    assert found.payment is not None
    assert found.intent is not None
    captured = found.intent.captured_minor
    if await corrections.correct_payment(service.database, found.payment.id, captured):
        return "adjusted", True
    return _MANUAL  # the PSP took more than it was asked to


async def _currency(service: Service, found: Break) -> Remedied:
    return _MANUAL


async def _status(service: Service, found: Break) -> Remedied:
    """The PSP is right about what is final, where the books may still move; else undo there."""
    payment, intent = found.payment, found.intent
    assert payment is not None
    assert intent is not None
    if payment.state in ("declined", "failed", "canceled"):
        return await _undo(service, found, "status")
    if payment.state == "authorized" and intent.state in ("succeeded", "canceled"):
        settled = await pay.settle(service.database, payment, _as_answer(intent), "reconcile")
        return "moved", settled.state == intent.state
    return _MANUAL


async def _duplicate_psp(service: Service, found: Break) -> Remedied:
    """Refund the newest, keep the earliest."""
    assert found.payment is not None
    assert found.keep is not None
    remedied = await _undo(service, found, "dup")
    if remedied[1] and found.payment.psp_payment != found.keep.id:
        await corrections.point_to(service.database, found.payment.id, found.keep.id,
                                   found.keep.charge)  # fmt: skip
    return remedied


async def _undo(service: Service, found: Break, prefix: str) -> Remedied:
    """Give the money of an intent back, with a key that is the same whenever this is tried."""
    payment, intent = found.payment, found.intent
    assert payment is not None
    assert intent is not None
    if intent.state == "authorized":
        cancel = PspRequest("payment_intents.cancel", "post",
                            f"/v1/payment_intents/{intent.id}/cancel", {}, read_intent)  # fmt: skip
        answer = await service.gateway.ask(cancel, lambda _: f"{prefix}-cancel:{intent.id}")
        return ("cancelled", True) if answer.state == "canceled" else _pending(answer)
    assert intent.charge is not None  # it was captured
    metadata = {"payment": payment.id, "remedy": found.type}
    if intent.reference:
        metadata["merchant_reference"] = intent.reference
    refund = requests.refund({"charge": intent.charge}, metadata)
    answer = await service.gateway.ask(refund, lambda _: f"{prefix}-refund:{intent.charge}")
    if answer.state != "succeeded":
        return _pending(answer)
    await corrections.charge_undone(service.database, payment.id, intent.charge,
                                    intent.captured_minor, intent.currency)  # fmt: skip
    return "refunded", True


async def _stuck_unknown(service: Service, found: Break) -> Remedied:
    assert found.payment is not None
    known = await Resolver(service).payment(found.payment, "reconcile")
    return ("resolved", True) if known else ("asked again", False)


async def _refund_mismatch(service: Service, found: Break) -> Remedied:
    payment, operation, refund = found.payment, found.operation, found.refund
    assert payment is not None
    if operation is None:
        assert refund is not None  # a refund break has a side
        id_ = refund.operation or new_id("ref")
        done = await corrections.adopt_refund(service.database, id_, payment.id,
                                              refund.amount_minor, refund.id)  # fmt: skip
        return ("adopted", True) if done else _MANUAL
    if operation.state == "processing":
        known = await Resolver(service).operation(operation, "reconcile")
        return ("resolved", True) if known else ("asked again", False)
    if operation.state == "succeeded" and (refund is None or refund.state == "failed"):
        absent = PspAnswer("absent", state="failed", reason="absent_at_psp")
        settled = await operate.settle(service.database, operation, absent, "reconcile")
        return "reversed", settled.state == "failed"
    return _MANUAL


def _pending(answer: PspAnswer) -> Remedied:
    return f"tried: {answer.outcome}", False


def _as_answer(intent: PspIntent) -> PspAnswer:
    return PspAnswer("reconciled", intent.state, intent.id, intent.charge, intent.captured_minor,
                     intent.reason)  # fmt: skip


_REMEDIES: dict[BreakType, Callable[[Service, Break], Awaitable[Remedied]]] = {
    "missing_internal": _missing_internal,
    "missing_psp": _missing_psp,
    "amount": _amount,
    "currency": _currency,
    "status": _status,
    "duplicate_psp": _duplicate_psp,
    "stuck_unknown": _stuck_unknown,
    "refund_mismatch": _refund_mismatch,
}

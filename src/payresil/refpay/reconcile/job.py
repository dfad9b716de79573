"""One run: read both sides, find breaks, look at each again, repair, write down."""

from __future__ import annotations

from dataclasses import dataclass, field

from payresil.refpay.books import corrections
from payresil.refpay.books.values import Payment
from payresil.refpay.reconcile.compare import compare, earliest
from payresil.refpay.reconcile.matching import by_payment, match
from payresil.refpay.reconcile.remedy import Remedied, remedy
from payresil.refpay.reconcile.sources import (
    IncompleteError,
    all_intents,
    all_payments,
    intent_now,
    payment_now,
)
from payresil.refpay.reconcile.views import Break, PspIntent
from payresil.refpay.work.service import Service

__all__ = ["BusyError", "IncompleteError", "run"]

_LOCK = 0x7265_636F  # an advisory lock of this job's own


class BusyError(Exception):
    """Another run has not ended."""


@dataclass
class _Run:
    """A run so far. ``left`` and ``left_minor`` are what it may still do and move."""

    number: int
    left: int
    left_minor: int
    examined: int = 0
    remedied: int = 0
    breaks: list[dict[str, object]] = field(default_factory=list)
    stopped: str | None = None

    def report(self) -> dict[str, object]:
        return {"run": self.number, "examined": self.examined, "breaks": self.breaks,
                "remedied": self.remedied, "stopped": self.stopped}  # fmt: skip


async def run(service: Service) -> dict[str, object]:
    """``{"run", "examined", "breaks": […], "remedied", "stopped"}``.

    ``stopped`` says why not all payments were examined; None: they were. Raises BusyError,
    IncompleteError (nothing was changed), DatabaseDownError, DatabaseUnknownError.
    """
    async with service.database.lock(_LOCK) as got:
        if not got:
            raise BusyError
        return await _run(service)


async def _run(service: Service) -> dict[str, object]:
    # The PSP first: an intent is in the books before the PSP hears of it, so whatever the PSP
    # shows must be in books that are read later.
    intents = await all_intents(service.gateway)
    payments, operations = await all_payments(service.database)
    matched, orphans = match(payments, intents)
    settings = service.settings
    number = await corrections.begin_run(service.database)
    so_far = _Run(number, settings.reconcile_max_remedies, settings.reconcile_max_minor)
    try:
        for theirs in by_payment(orphans):
            await _adopt(service, so_far, theirs)
            so_far.examined += 1
        for payment in payments:
            theirs = matched.get(payment.id, [])
            if compare(payment, operations.get(payment.id, []), theirs):
                for found in await _look_again(service, payment, theirs):
                    await _handle(service, so_far, found)
            so_far.examined += 1
    except IncompleteError as error:  # the PSP went away: the next run goes on from here
        so_far.stopped = str(error)
    await corrections.end_run(
        service.database, number, so_far.examined, len(so_far.breaks), so_far.remedied
    )
    service.log.info("reconciled", run=number, examined=so_far.examined,
                     breaks=len(so_far.breaks), remedied=so_far.remedied)  # fmt: skip
    return so_far.report()


async def _adopt(service: Service, so_far: _Run, intents: list[PspIntent]) -> None:
    """Enter a payment that the books lost, and then what else they lost of it: its refunds."""
    first = earliest(intents)
    lost = Break("missing_internal", f"{first.state} there, nothing here", None, first)
    await _handle(service, so_far, lost)
    payment, _ = await payment_now(service.database, first.payment or "")
    if payment is not None:  # None: it was held, or it is not from this service
        for found in await _look_again(service, payment, intents):
            await _handle(service, so_far, found)


async def _look_again(service: Service, payment: Payment, intents: list[PspIntent]) -> list[Break]:
    """The breaks of a payment as both sides are now: it may have moved while they were read."""
    ids = [intent.id for intent in intents]
    if payment.psp_payment and payment.psp_payment not in ids:
        ids.append(payment.psp_payment)
    fresh = [await intent_now(service.gateway, id_) for id_ in ids]
    now, operations = await payment_now(service.database, payment.id)
    assert now is not None  # payments are never deleted
    return compare(now, operations, [intent for intent in fresh if intent is not None])


async def _handle(service: Service, so_far: _Run, found: Break) -> None:
    await corrections.record_break(
        service.database, so_far.number, found.id, found.type,
        payment=found.payment.id if found.payment else None, reference=found.reference,
        psp_object=found.psp_object, amount_minor=found.amount_minor, currency=found.currency,
        detail=found.detail,
    )  # fmt: skip
    done, resolved = await _within_limits(service, so_far, found)
    await corrections.close_break(service.database, so_far.number, found.id, done, resolved)
    so_far.remedied += resolved
    so_far.breaks.append({
        "break": found.id, "type": found.type, "reference": found.reference,
        "payment": found.payment.id if found.payment else None, "psp_object": found.psp_object,
        "amount_minor": found.amount_minor, "currency": found.currency, "detail": found.detail,
        "remedy": done, "state": "resolved" if resolved else "open",
    })  # fmt: skip
    service.log.warning("break", type=found.type, reference=found.reference,
                        psp_object=found.psp_object, remedy=done, resolved=resolved)  # fmt: skip


async def _within_limits(service: Service, so_far: _Run, found: Break) -> Remedied:
    """So many breaks at once are one cause, which is for a human to find."""
    if so_far.left < 1 or so_far.left_minor < found.amount_minor:
        return "held: over the limit of a run", False
    so_far.left -= 1
    so_far.left_minor -= found.amount_minor
    return await remedy(service, found)

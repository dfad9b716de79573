"""Finds out what became of unknown outcomes, by asking the PSP again."""

from __future__ import annotations

import asyncio
from time import monotonic

from payresil.refpay.books import operations, payments
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError
from payresil.refpay.books.values import Operation, Payment
from payresil.refpay.psp import requests
from payresil.refpay.psp.answer import Json, PspAnswer, read_intent, read_refund
from payresil.refpay.work import operate, pay
from payresil.refpay.work.service import Service

_BATCH = 16
#: Not found is not absence: give up on a payment only after as many questions and as long.
_QUESTIONS = 5
_PATIENCE_S = 60.0  # Stripe's search may be behind by as much
_UNKNOWN = PspAnswer("unknown")


class Resolver:
    """Takes unknown payments and operations under a lease, one worker each."""

    def __init__(self, service: Service) -> None:
        self._service = service
        #: How often, and since when, the PSP has been saying that it does not have one.
        self._missing: dict[str, tuple[int, float]] = {}

    async def sweep(self) -> int:
        """One round; how many outcomes it found.

        Raises DatabaseDownError or DatabaseUnknownError.
        """
        service = self._service
        if not service.gateway.circuit.lets_through:
            return 0
        instance, lease = service.settings.instance, service.settings.lease_ms
        held = await self._renew(service.cards.next(_BATCH))
        taken = await payments.take_unknown(service.database, instance, lease, _BATCH)
        others = await operations.take_unknown(service.database, instance, lease, _BATCH)
        found = await asyncio.gather(
            *(self.payment(payment) for payment in (*held, *taken)),
            *(self.operation(operation) for operation in others),
        )
        return sum(found)

    async def keep(self) -> int:
        """Hold on to the payments whose cards are here: nobody else could pay them.

        Raises DatabaseDownError or DatabaseUnknownError.
        """
        await self._renew(self._service.cards.payments())
        return 0

    async def _renew(self, ids: list[str]) -> list[Payment]:
        """A new lease for these payments; the cards of those resolved meanwhile are dropped."""
        if not ids:
            return []
        service = self._service
        ours = await payments.renew(
            service.database, ids, service.settings.instance, pay.HELD_LEASE_MS
        )
        for id_ in set(ids) - {payment.id for payment in ours}:
            service.cards.drop(id_)
        return ours

    async def payment(self, payment: Payment, cause: str = "resolver") -> bool:
        """Ask about one payment; True if its outcome is known now."""
        service = self._service
        answer = await self._ask_payment(payment)
        try:
            if answer.state is None:
                wait_ms = service.settings.resolve_every_ms
                if service.cards.get(payment.id):
                    wait_ms = pay.HELD_LEASE_MS
                await payments.release(
                    service.database, payment.id, service.settings.instance, wait_ms
                )
                return False
            settled = await pay.settle(service.database, payment, answer, cause)
        except (DatabaseDownError, DatabaseUnknownError) as error:
            service.log.warning("resolve.unwritten", payment=payment.id, error=str(error))
            return False
        service.cards.drop(payment.id)
        service.log.info("payment.resolved", payment=payment.id, reference=payment.reference,
                         state=settled.state, asked=payment.asked)  # fmt: skip
        return True

    async def _ask_payment(self, payment: Payment) -> PspAnswer:
        """Replay with the same key where we can; else look it up; else make sure it never was."""
        service = self._service
        method = service.cards.get(payment.id)
        if method is None and payment.method:
            method = {"payment_method": payment.method}
        key = service.psp_key(payment.id, payment.asked + 1)
        if method is not None:
            request = requests.create_payment(payment, method)
            answer = await service.gateway.ask_once(request, key)
            if answer.state is not None or not answer.stored:
                return answer
        answer, answered = await self._look_up(payment)
        if answer.state is not None or not answered:
            return answer
        if method is None:
            return await self._fence(payment, key)
        return self._absent(payment.id)

    async def _look_up(self, payment: Payment) -> tuple[PspAnswer, bool]:
        """What the PSP has under our id, and whether it answered at all."""
        found = await self._service.gateway.ask_once(
            requests.find_payments(payment.reference), None
        )
        if found.body is None:
            return _UNKNOWN, False
        intents = [one for one in found.body["data"]
                   if one["metadata"].get("payment") == payment.id]  # fmt: skip
        if not intents:
            return _UNKNOWN, True
        return best(intents), True

    async def _fence(self, payment: Payment, key: str) -> PspAnswer:
        fence = requests.fence_payment(payment)
        answer = await self._service.gateway.ask_once(fence, key)
        if answer.body is not None and "fence" in answer.body["metadata"]:
            return PspAnswer("never_sent", state="failed", reason="never_reached_psp")
        if answer.outcome == "key_conflict":  # it was executed: it must show, in a while
            return self._absent(payment.id)
        return _UNKNOWN

    async def operation(self, operation: Operation, cause: str = "resolver") -> bool:
        """Ask about one operation; True if its outcome is known now."""
        service = self._service
        answer = await self._ask_operation(operation)
        answer = operate.as_operation(operation, answer)
        try:
            if answer.state is None:
                await operations.release(
                    service.database, operation.id, service.settings.instance,
                    service.settings.resolve_every_ms, answer.psp_object,
                )  # fmt: skip
                return False
            settled = await operate.settle(service.database, operation, answer, cause)
        except (DatabaseDownError, DatabaseUnknownError) as error:
            service.log.warning("resolve.unwritten", operation=operation.id, error=str(error))
            return False
        service.log.info("operation.resolved", operation=operation.id, kind=operation.kind,
                         payment=operation.payment, state=settled.state)  # fmt: skip
        return True

    async def _ask_operation(self, operation: Operation) -> PspAnswer:
        gateway = self._service.gateway
        assert operation.psp_payment is not None  # only a payment the PSP knows is operated on
        if operation.kind == "refund":
            if operation.psp_object:
                return await gateway.ask_once(requests.get_refund(operation.psp_object), None)
        else:
            now = await gateway.ask_once(requests.get_payment(operation.psp_payment), None)
            if now.state != "authorized":
                return now
        key = self._service.psp_key(operation.id, operation.asked + 1)
        answer = await gateway.ask_once(requests.operate(operation), key)
        if operation.kind == "refund" and answer.state is None and answer.stored:
            return await self._look_up_refund(operation)
        return answer

    async def _look_up_refund(self, operation: Operation) -> PspAnswer:
        listed = await self._service.gateway.ask_once(
            requests.list_page("refunds", payment_intent=operation.psp_payment), None
        )
        if listed.body is None:
            return _UNKNOWN
        for refund in listed.body["data"]:
            if refund["metadata"].get("operation") == operation.id:
                return read_refund(refund)
        return self._absent(operation.id)

    def _absent(self, id_: str) -> PspAnswer:
        """Not found once more: give up after enough questions over long enough."""
        count, since = self._missing.get(id_, (0, monotonic()))
        if count + 1 < _QUESTIONS or monotonic() - since < _PATIENCE_S:
            self._missing[id_] = (count + 1, since)
            return _UNKNOWN
        del self._missing[id_]
        return PspAnswer("absent", state="failed", reason="absent_at_psp")


def best(intents: list[Json]) -> PspAnswer:
    """Of several intents of one payment, what counts: the earliest with money, else the first.

    More than one is for the reconciliation job.
    """
    # Newest first, as the PSP lists them: of one second, the last in the list is the earliest.
    oldest_first = list(reversed(intents))
    oldest_first.sort(key=lambda intent: int(intent["created"]))
    answers = [read_intent(intent) for intent in oldest_first]
    for wanted in ("succeeded", "authorized", None):
        for answer in answers:
            if answer.state == wanted:
                return answer
    return answers[0]

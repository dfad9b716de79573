"""What one request may read and write while it executes, inside its transaction."""

from __future__ import annotations

import time

from stub_psp.engine.values import (
    Change,
    Charge,
    PaymentIntent,
    PaymentObject,
    Refund,
    RefusedError,
)
from stub_psp.exchange import Announcer
from stub_psp.store import Store
from stub_psp.store.events import Delivery, Event
from stub_psp.store.objects import Origin


class Execution:
    """``now_s`` is the stub's clock; ``announced`` are the events by type, ``deliveries`` what
    the commit sets going. ``unchecked`` is whether a rule says to accept what should be refused.
    """

    def __init__(
        self,
        store: Store,
        announcer: Announcer,
        *,
        account: str,
        request: str | None,
        key: str | None,
        now_s: int,
        unchecked: bool = False,
    ) -> None:
        self.store = store
        self.account = account
        self.now_s = now_s
        self.unchecked = unchecked
        self.deliveries: list[Delivery] = []
        self.wrote = False
        self.announced: list[str] = []
        #: Ids for the god view.
        self.intent_id: str | None = None
        self.charge_id: str | None = None
        self._announcer = announcer
        self._origin = Origin(request, key, time.monotonic_ns())
        self._rendered: dict[int, bytes] = {}

    def intent(self, id_: str) -> PaymentIntent:
        found = self.store.objects.intents.get(self.account, id_)
        if found is None:
            raise RefusedError("not_found", kind="payment_intent", id=id_)
        self.intent_id, self.charge_id = found.id, found.latest_charge
        return found

    def charge(self, id_: str) -> Charge:
        found = self.store.objects.charges.get(self.account, id_)
        if found is None:
            raise RefusedError("not_found", kind="charge", id=id_)
        self.intent_id, self.charge_id = found.intent, found.id
        return found

    def refund(self, id_: str) -> Refund:
        found = self.store.objects.refunds.get(self.account, id_)
        if found is None:
            raise RefusedError("not_found", kind="refund", id=id_)
        self.intent_id, self.charge_id = found.intent, found.charge
        return found

    def record(self, *changes: Change) -> None:
        """Write steps that belong together, with their events. The last state counts."""
        self.wrote = True
        last = changes[-1]
        self.store.objects.put_intent(last.intent)
        self.intent_id, self.charge_id = last.intent.id, last.intent.latest_charge
        for change in changes:
            if change.charge is not None:
                self.store.objects.put_charge(change.charge, self._origin)
            if change.refund is not None:
                self.store.objects.put_refund(change.refund, self._origin)
            for happening in change.happenings:
                self._announce(self._announcer.event_name(happening.kind), happening.subject)

    def rendered(self, subject: PaymentObject) -> bytes:
        """The object's JSON; made once however many events and answers show it."""
        body = self._rendered.get(id(subject))
        if body is None:
            body = self._rendered[id(subject)] = self._announcer.snapshot(subject)
        return body

    def _announce(self, name: str, subject: PaymentObject) -> None:
        self.announced.append(name)
        event = Event(
            id=self.store.new_id("events"),
            account=self.account,
            type=name,
            object=subject.id,
            reference=subject.reference,
            created=self.now_s,
            created_mono_ns=self._origin.mono_ns,
            request=self._origin.request,
            key=self._origin.key,
            data=self.rendered(subject),
        )
        self.deliveries += self.store.events.add(event, time.time_ns() // 1000)

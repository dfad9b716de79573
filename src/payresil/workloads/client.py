"""What a journey has in its hands: one customer's way to pay.

Nothing here knows how requests travel or how time passes, so journeys run the same over
Locust's clients and on a virtual clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from payresil.core.mapping import Answer, build, classify, unanswered
from payresil.core.system import Api
from payresil.workloads.attempts import Attempt, Intent
from payresil.workloads.transport import Pace, Transport

_FIRST_WAIT_S = 0.25  # before the first retry; doubled for each one after it
_LONGEST_WAIT_S = 2.0
_TOO_MANY_REQUESTS = 429
_READS = ("read", "find")  # they change nothing, so they carry no key


@dataclass(frozen=True, slots=True)
class Terms:
    """What all customers of a run share. Times in nanoseconds and seconds as named."""

    api: Api
    patience_ns: int  # no new attempt after this, counted from when the intent was due
    timeout_s: float  # of one request
    allow: Callable[[], None] = lambda: None  # raises when no more requests may be sent


class PaymentClient:
    """One customer with one intent. Every attempt goes to `record` as a row, done or not."""

    def __init__(
        self,
        intent: Intent,
        values: Mapping[str, Any],
        random: Random,
        terms: Terms,
        transport: Transport,
        pace: Pace,
        record: Callable[[Attempt], None],
    ) -> None:
        """`values` fill the templates of the system file beside what the intent says."""
        self.intent = intent
        self.payment: str | None = None  # the service's id, once an answer named it
        self._follow: str | None = None  # where to read it, once an answer said so
        self._values = {
            **values,
            "intent": intent.id,
            "amount_minor": intent.amount_minor,
            "currency": intent.currency,
        }
        self._random = random
        self._terms = terms
        self._transport = transport
        self._pace = pace
        self._record = record
        self._counts: dict[str, int] = {}
        self._unclear = 0  # attempts to move money, in flight or of unknown outcome

    def pay(self, **values: Any) -> Answer:
        """Pay, as a customer who wants to know: see `perform`."""
        return self.perform("create", "pay", **values)

    def perform(self, kind: str, operation: str, **values: Any) -> Answer:
        """Do an operation and ask again until there is a final answer or patience runs out.

        The first request is sent at the time the intent was due, whenever that is. A repeated
        request carries the same key; a payment that is said to be processing is read instead.
        """
        due_ns = self.intent.due_ns if not self._counts else self._pace.now_ns()
        answer = self.attempt(kind, operation, due_ns=due_ns, **values)
        reading = False
        for due_ns in self._asks():
            if not _worth_asking(answer, reading):
                break
            self._pace.sleep_until(due_ns)
            reading = self._can_read(kind) and (
                answer.pending or (reading and answer.outcome == "unknown")
            )
            ask = "read" if reading else kind
            answer = self.attempt(ask, operation, due_ns=due_ns, **({} if reading else values))
        return answer

    def attempt(
        self, kind: str, operation: str = "pay", *, due_ns: int | None = None, **values: Any
    ) -> Answer:
        """Send one request, record it, and say what it came to.

        `kind` is an operation of the system file (create, read, refund, …), `operation` the unit
        of idempotency (pay, refund.1, …): all its requests but reads carry its one key. To find a
        payment by its reference is recorded as a read.
        `due_ns` is when the customer wanted it, in run time; left out, that is now.
        """
        self._terms.allow()
        number = self._counts[operation] = self._counts.get(operation, 0) + 1
        reads = kind in _READS
        key = None if reads else self.intent.key(operation)
        filled = {**self._values, **values}
        if self.payment is not None:
            filled.setdefault("payment", self.payment)
        follow = self._follow if kind == "read" else None
        request = build(self._terms.api, kind, filled, key=key, follow=follow)
        earlier_unknown = self._unclear > 0
        self._unclear += not reads
        answer = unanswered("abandoned")
        sent_ns = self._pace.now_ns()
        try:
            reply = self._transport.send(request, self._terms.timeout_s)
            if reply.status is None:
                answer = unanswered(reply.error or "unknown")
            else:
                answer = classify(
                    self._terms.api, kind, reply.status, reply.headers, reply.body,
                    earlier_unknown=earlier_unknown,
                )  # fmt: skip
        finally:  # also when the customer is stopped: what was sent must be on record
            done_ns = self._pace.now_ns()
            if answer.outcome != "unknown":
                self._unclear -= not reads
            self.payment = self.payment or answer.payment
            self._follow = self._follow or answer.follow
            self._record(
                self._row(kind, operation, number, key, filled, due_ns, sent_ns, done_ns, answer)
            )
        return answer

    def attempt_later(
        self, wait_s: float, kind: str, operation: str = "pay", **values: Any
    ) -> Callable[[], Answer]:
        """Send one request `wait_s` seconds from now, beside whatever else is done until then.

        Call the result to wait for the answer; a journey ends only when all it began has ended.
        """
        due_ns = self._pace.now_ns() + round(wait_s * 1e9)

        def send() -> Answer:
            self._pace.sleep_until(due_ns)
            return self.attempt(kind, operation, due_ns=due_ns, **values)

        return self.beside(send)

    def beside(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Start `call` now, beside whatever else is done. The result waits for it and returns it.

        A journey ends only when all it began has ended, so call the result before it does.
        """
        return self._pace.spawn(call)

    def wait(self, seconds: float) -> bool:
        """Let time pass. False, and at once, where patience would run out before the end of it."""
        until_ns = self._pace.now_ns() + round(seconds * 1e9)
        if until_ns > self._end_ns:
            return False
        self._pace.sleep_until(until_ns)
        return True

    def can(self, kind: str) -> bool:
        """Whether the system file describes an operation."""
        return kind in self._terms.api.operations

    @property
    def _end_ns(self) -> int:
        """When patience runs out."""
        return self.intent.due_ns + self._terms.patience_ns

    def _can_read(self, kind: str) -> bool:
        """Whether to look at the payment instead of sending it again."""
        return kind == "create" and self.payment is not None and self.can("read")

    def _asks(self) -> Iterator[int]:
        """When this customer asks again: jittered back-off, until patience runs out."""
        wait_s = _FIRST_WAIT_S
        while True:
            due_ns = self._pace.now_ns() + round(wait_s * self._random.uniform(0.5, 1.0) * 1e9)
            if due_ns > self._end_ns:
                return
            yield due_ns
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _row(
        self,
        kind: str,
        operation: str,
        number: int,
        key: str | None,
        filled: Mapping[str, Any],
        due_ns: int | None,
        sent_ns: int,
        done_ns: int,
        answer: Answer,
    ) -> Attempt:
        intent = self.intent
        return Attempt(
            intent.id, intent.n, operation, number, intent.source, intent.journey,
            "read" if kind in _READS else kind, key,
            filled["amount_minor"], filled["currency"],
            sent_ns if due_ns is None else due_ns, sent_ns, done_ns,
            answer.outcome, answer.status, answer.error, answer.state,
            answer.payment or self.payment, answer.replayed, answer.region, answer.instance,
        )  # fmt: skip


def _worth_asking(answer: Answer, reading: bool) -> bool:
    """Whether a customer asks again: nothing is settled yet, or it did not even get through."""
    if answer.outcome == "unknown":
        return True
    if answer.outcome == "fail":
        return answer.status is None or answer.status == _TOO_MANY_REQUESTS or reading
    return False

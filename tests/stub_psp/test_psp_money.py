"""Whatever is asked for in whatever order, the engine makes and loses no money."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from stub_psp.engine import intents
from stub_psp.engine.refunds import refund
from stub_psp.engine.values import (
    Card,
    Change,
    Charge,
    PaymentIntent,
    PaymentMethod,
    Refund,
    RefusedError,
)

AMOUNTS = st.integers(1, 5000)
OUTCOMES = st.sampled_from(["approve", "approve", "insufficient_funds", "authenticate"])


class Money(RuleBasedStateMachine):
    """Keeps what changes say, as a store would, and compares it with what was asked."""

    known = Bundle("known")

    @initialize()
    def empty(self) -> None:
        self.intents: dict[str, PaymentIntent] = {}
        self.charges: dict[str, Charge] = {}
        self.refunds: list[Refund] = []
        self.now = 1_700_000_000
        self.terminal: dict[str, str] = {}

    @rule(target=known, amount=AMOUNTS, manual=st.booleans())
    def create(self, amount: int, manual: bool) -> str:
        id_ = f"pi_{len(self.intents)}"
        wanted = PaymentIntent(
            id=id_,
            account="acct_1",
            created=self.now,
            amount=amount,
            currency="usd",
            capture_method="manual" if manual else "automatic",
        )
        self.keep(intents.create(wanted))
        return id_

    @rule(id_=known, outcome=OUTCOMES)
    def confirm(self, id_: str, outcome: str) -> None:
        method = PaymentMethod("pm_1", Card("visa", "4242", 12, 2030, "print", outcome))
        charge_id = f"ch_{len(self.charges)}"
        self.attempt(lambda: intents.confirm(self.intents[id_], method, charge_id, self.now))

    @rule(id_=known, passed=st.booleans())
    def authenticate(self, id_: str, passed: bool) -> None:
        charge_id = f"ch_{len(self.charges)}"
        self.attempt(lambda: intents.authenticate(self.intents[id_], passed, charge_id, self.now))

    @rule(id_=known, amount=st.none() | AMOUNTS)
    def capture(self, id_: str, amount: int | None) -> None:
        if charge := self.charge_of(id_):
            self.attempt(lambda: intents.capture(self.intents[id_], charge, amount, self.now))

    @rule(id_=known)
    def cancel(self, id_: str) -> None:
        charge = self.charge_of(id_)
        self.attempt(lambda: intents.cancel(self.intents[id_], charge, None, self.now))

    @rule(id_=known, days=st.integers(1, 8))
    def wait(self, id_: str, days: int) -> None:
        self.now += days * 86_400
        if (charge := self.charge_of(id_)) and (
            change := intents.expire(self.intents[id_], charge, self.now)
        ):
            self.keep(change)

    @rule(id_=known, amount=st.none() | AMOUNTS)
    def give_back(self, id_: str, amount: int | None) -> None:
        if charge := self.charge_of(id_):
            refund_id = f"re_{len(self.refunds)}"
            self.attempt(
                lambda: refund(self.intents[id_], charge, amount, refund_id=refund_id, now=self.now)
            )

    def attempt(self, step: object) -> None:
        assert callable(step)
        try:
            self.keep(step())
        except RefusedError:
            return  # nothing was kept, so nothing changed: values are frozen

    def keep(self, change: Change) -> None:
        self.intents[change.intent.id] = change.intent
        if change.charge is not None:
            self.charges[change.charge.id] = change.charge
        if change.refund is not None:
            self.refunds.append(change.refund)

    def charge_of(self, id_: str) -> Charge | None:
        return self.charges.get(self.intents[id_].latest_charge or "")

    @invariant()
    def no_more_goes_back_than_came_in(self) -> None:
        for charge in self.charges.values():
            given = sum(r.amount for r in self.refunds if r.charge == charge.id)
            assert given == charge.amount_refunded <= charge.amount_captured <= charge.amount

    @invariant()
    def an_intent_is_paid_once(self) -> None:
        for intent in self.intents.values():
            own = [c for c in self.charges.values() if c.intent == intent.id]
            captured = [c for c in own if c.captured]
            assert len([c for c in own if c.status == "succeeded"]) <= 1
            assert len(captured) <= 1
            assert intent.amount_received == sum(c.amount_captured for c in captured)
            assert (intent.status == "succeeded") == bool(captured)

    @invariant()
    def terminal_states_are_never_left(self) -> None:
        for intent in self.intents.values():
            before = self.terminal.get(intent.id)
            assert before in (None, intent.status)
            if intent.status in ("succeeded", "canceled"):
                self.terminal[intent.id] = intent.status


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

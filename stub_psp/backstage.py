"""What happens at a PSP without a request of the merchant: authorizations run out, cardholders
authenticate.
"""

from __future__ import annotations

from collections.abc import Callable

from stub_psp.clock import Clock
from stub_psp.engine import intents
from stub_psp.engine.values import RefusedError
from stub_psp.exchange import Announcer
from stub_psp.execution import Execution
from stub_psp.store import Store

_CLOCK = "clock_offset_s"


class Backstage:
    """``on_executed`` is told, after each commit, what was done and has to be delivered."""

    def __init__(
        self,
        store: Store,
        announcer: Announcer,
        on_executed: Callable[[Execution], None],
    ) -> None:
        self._store = store
        self._announcer = announcer
        self._on_executed = on_executed
        self.clock = Clock(store.number(_CLOCK) or 0)

    def advance(self, seconds: int) -> int:
        """Move the stub's clock on; give how many authorizations that let expire."""
        self.clock.advance(seconds)
        with self._store.transaction():
            self._store.set_number(_CLOCK, self.clock.offset_s)
        return sum(self._expire(account, id_) for account, id_ in self._store.objects.authorized())

    def authenticate(self, id_: str, passed: bool) -> str:
        """The cardholder passes or fails 3-D Secure; give the intent's status after it.

        Raises RefusedError ``not_found`` or ``unexpected_state``.
        """
        account = self._store.objects.account_of(id_)
        if account is None:
            raise RefusedError("not_found", kind="payment_intent", id=id_)
        execution = self._execution(account)
        with self._store.transaction():
            intent = execution.intent(id_)
            change = intents.authenticate(
                intent, passed, self._store.new_id("charges"), self.clock.now_s()
            )
            execution.record(change)
        self._on_executed(execution)
        return change.intent.status

    def _expire(self, account: str, id_: str) -> bool:
        execution = self._execution(account)
        with self._store.transaction():
            intent = execution.intent(id_)
            assert intent.latest_charge is not None  # requires_capture implies a charge
            charge = execution.charge(intent.latest_charge)
            change = intents.expire(intent, charge, self.clock.now_s())
            if change is None:
                return False
            execution.record(change)
        self._on_executed(execution)
        return True

    def _execution(self, account: str) -> Execution:
        return Execution(
            self._store,
            self._announcer,
            account=account,
            request=None,
            key=None,
            now_s=self.clock.now_s(),
        )

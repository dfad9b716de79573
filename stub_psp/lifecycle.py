"""The life of a request that passed authentication and validation.

key lookup → [before_commit] → execute (or [unchecked]) and store, in one transaction
→ [after_commit_*] → answer

The order of the layers is Stripe's: what is refused before the key lookup is never stored, what
was executed is stored whatever came of it, and the answer goes out only after the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from stub_psp.clock import Clock
from stub_psp.exchange import Answer, Call, Dialect, InvalidError, Marks, RejectedError
from stub_psp.execution import Execution
from stub_psp.faults import Faults
from stub_psp.idempotency import Decision, decide, fingerprint
from stub_psp.rules import Point, Rule
from stub_psp.rules.book import Seen
from stub_psp.store import Store
from stub_psp.store.attempts import Attempt, Kept, StoredResult


class Waits(Protocol):
    """How to let time pass on a connection; both end early when the stub stops."""

    async def pause(self, ms: int) -> None:
        """Until the client is gone, or so many milliseconds."""
        ...

    async def delay(self, ms: int) -> None:
        """So many milliseconds, whether the client stays or not."""
        ...


class Reply(Struct, frozen=True):
    """What to do with the connection. ``attempt`` is the row to mark once it is answered."""

    attempt: int
    how: Literal["send", "reset", "close", "hang"] = "send"
    answer: Answer | None = None
    marks: Marks | None = None
    hang_ms: int = 0


class Lifecycle:
    """``on_executed`` is told, after the commit, what was done and has to be delivered."""

    def __init__(
        self,
        store: Store,
        dialect: Dialect,
        faults: Faults,
        clock: Clock,
        on_executed: Callable[[Execution], None],
    ) -> None:
        self._store = store
        self._dialect = dialect
        self._faults = faults
        self._clock = clock
        self._on_executed = on_executed
        self._running: set[tuple[str, str | None]] = set()

    def invalid(self, refused: InvalidError, account: str, request: str, received_ns: int) -> Reply:
        """What failed validation: noted, never stored under its key."""
        attempt = Attempt(
            request, account, refused.endpoint, received_ns, key=refused.key,
            status=refused.answer.status,
        )  # fmt: skip
        return self._send(attempt, refused.answer, Marks(request, refused.key), ())

    async def serve(self, call: Call, request: str, received_ns: int, waits: Waits) -> Reply:
        attempt = Attempt(
            request, call.account, call.endpoint, received_ns, self._reference(call), call.key
        )
        marks = Marks(request, call.key, version=call.version)
        digest = fingerprint(self._store.secret, call.path, call.pairs) if call.key else b""
        decision, stored = self._look_up(call, digest)
        if call.key and decision is Decision.MISMATCH:
            answer = self._dialect.mismatch(call.key)
            return self._send(replace(attempt, status=answer.status), answer, marks, ())
        if call.key and decision is Decision.IN_USE:
            answer = self._dialect.in_use(call.key)
            marks = replace(marks, should_retry=True)
            return self._send(replace(attempt, status=answer.status), answer, marks, ())

        rule, seen = self._decide(Point.BEFORE_COMMIT, attempt)
        if rule is not None:
            attempt = replace(attempt, rule=rule.id, point=rule.point)
            await self._hold(call, rule, waits)
            if rule.action.how != "delay":
                return self._stopped(attempt, rule, marks, seen)
        if decision is Decision.REPLAY and stored is not None:
            return self._replay(attempt, stored, marks, seen)
        return self._execute(call, digest, attempt, marks, seen)

    def _reference(self, call: Call) -> str | None:
        if call.reference is not None or call.subject is None:
            return call.reference
        table, id_ = call.subject
        return self._store.objects.reference_of(table, call.account, id_)

    def _look_up(self, call: Call, digest: bytes) -> tuple[Decision, StoredResult | None]:
        if call.key is None:
            return Decision.EXECUTE, None
        stored = self._store.attempts.result(call.account, call.key)
        decision = decide(
            stored,
            running=(call.account, call.key) in self._running,
            endpoint=call.endpoint,
            digest=digest,
            now_s=self._clock.now_s(),
        )
        return decision, stored

    async def _hold(self, call: Call, rule: Rule, waits: Waits) -> None:
        """Wait, with the key in use, where the rule says so."""
        if rule.action.how not in ("hang", "delay"):
            return
        slot = (call.account, call.key)
        if call.key:
            self._running.add(slot)
        try:
            if rule.action.how == "hang":
                await waits.pause(rule.action.hang_ms)
            else:
                await waits.delay(rule.action.delay_ms)
        finally:
            self._running.discard(slot)

    def _stopped(self, attempt: Attempt, rule: Rule, marks: Marks, seen: list[Seen]) -> Reply:
        """A fault before the commit: nothing happened, nothing is stored."""
        if rule.action.how == "status":
            answer = self._dialect.failure(rule.action.status)
            return self._send(replace(attempt, status=answer.status), answer, marks, seen)
        with self._store.transaction():
            row = self._store.attempts.add(attempt)
            self._faults.record(seen, attempt.request)
        return Reply(row, "reset" if rule.action.how == "reset" else "close")

    def _replay(
        self, attempt: Attempt, stored: StoredResult, marks: Marks, seen: list[Seen]
    ) -> Reply:
        """The stored result, byte for byte; its way back can fail as the first one's could."""
        rule, after = self._after(attempt)
        attempt = replace(
            attempt,
            status=stored.status,
            replayed=True,
            payment_intent=stored.intent,
            charge=stored.charge,
        )
        marks = replace(marks, original=stored.request)
        with self._store.transaction():
            return self._answer(
                attempt, Answer(stored.status, stored.body), marks, rule, [*seen, *after]
            )

    def _execute(
        self, call: Call, digest: bytes, attempt: Attempt, marks: Marks, seen: list[Seen]
    ) -> Reply:
        accepting, also_seen = self._decide(Point.UNCHECKED, attempt)
        if accepting is not None:
            attempt = replace(attempt, rule=accepting.id, point=accepting.point)
        execution = Execution(
            self._store,
            self._dialect,
            account=call.account,
            request=attempt.request,
            key=call.key,
            now_s=self._clock.now_s(),
            unchecked=accepting is not None,
        )
        with self._store.transaction():
            answer = _run(call, execution)
            rule, after = self._after(attempt)
            attempt = replace(
                attempt,
                status=answer.status,
                payment_intent=execution.intent_id,
                charge=execution.charge_id,
            )
            kept = None
            if call.key is not None:
                shown = (
                    self._dialect.failure(rule.action.status)
                    if rule and rule.action.store
                    else answer
                )
                kept = Kept(execution.now_s, digest, shown.status, shown.body)
            counted = [*seen, *also_seen, *after]
            reply = self._answer(attempt, answer, marks, rule, counted, kept)
        self._on_executed(execution)
        return reply

    def _decide(self, point: Point, attempt: Attempt) -> tuple[Rule | None, list[Seen]]:
        assert attempt.endpoint is not None  # a Call has one
        return self._faults.book.decide(point, attempt.endpoint, attempt.reference, attempt.key)

    def _after(self, attempt: Attempt) -> tuple[Rule | None, list[Seen]]:
        """The fault after the commit: an answer that is lost cannot be wrong as well."""
        rule, seen = self._decide(Point.AFTER_COMMIT_LOST, attempt)
        if rule is None:
            rule, more = self._decide(Point.AFTER_COMMIT_WRONG, attempt)
            seen += more
        return rule, seen

    def _answer(
        self,
        attempt: Attempt,
        answer: Answer,
        marks: Marks,
        rule: Rule | None,
        seen: list[Seen],
        kept: Kept | None = None,
    ) -> Reply:
        """Note the attempt and what becomes of its answer; inside the transaction."""
        how: Literal["send", "reset", "close", "hang"] = "send"
        hang_ms = 0
        if rule is not None:
            attempt = replace(attempt, rule=rule.id, point=rule.point)
            if rule.point is Point.AFTER_COMMIT_WRONG:
                answer = self._dialect.failure(rule.action.status)
                # A replay of a stored failure would be identical, so the SDK need not try.
                marks = replace(marks, should_retry=False if rule.action.store else None)
                attempt = replace(attempt, status=answer.status)
            elif rule.action.how in ("reset", "close", "hang"):
                how, hang_ms = rule.action.how, rule.action.hang_ms
        row = self._store.attempts.add(attempt, kept)
        self._faults.record(seen, attempt.request)
        return Reply(row, how, answer, marks, hang_ms)

    def _send(
        self, attempt: Attempt, answer: Answer, marks: Marks, seen: list[Seen] | tuple[()]
    ) -> Reply:
        with self._store.transaction():
            row = self._store.attempts.add(attempt)
            self._faults.record(seen, attempt.request)
        return Reply(row, "send", answer, marks)


def _run(call: Call, execution: Execution) -> Answer:
    try:
        return call.run(execution)
    except RejectedError as rejected:
        if execution.wrote:
            raise RuntimeError(f"{call.endpoint} wrote, and then refused") from rejected
        return rejected.answer

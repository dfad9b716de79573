"""Written histories: a run in which everything went right, to be spoilt by each test."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

Row = dict[str, Any]
S = 1_000_000_000
MS = 1_000_000
RUN = "1a2b"
ZERO_US = 1_700_000_000_000_000

#: Phases of the written run, in seconds.
PHASES = {
    "warm-up": (-2, 0),
    "steady": (0, 10),
    "faulted": (10, 18),
    "recovering": (18, 40),
    "drain": (40, 41),
    "settle": (41, 42),
    "reconcile": (42, 43),
    "audit": (43, 44),
}


class History:
    """Tables of a run as lists of dicts. What a method adds is right; tests make it wrong."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {
            name: []
            for name in (
                "attempts",
                "reserved",
                "events",
                "psp_attempts",
                "psp_charges",
                "psp_refunds",
                "psp_events",
                "books_payments",
                "books_refunds",
                "books_transitions",
                "books_entries",
                "books_balances",
                "books_inbox",
                "books_outbox",
                "books_breaks",
            )
        }
        self.meta: Row = {"run": RUN, "zero_wall_us": ZERO_US}
        self._events = itertools.count()

    def __getitem__(self, table: str) -> list[Row]:
        return self.tables[table]

    def of(self, table: str, n: int) -> Row:
        """The first row of a table that is about payment `n`."""
        return self.all_of(table, n)[0]

    def all_of(self, table: str, n: int) -> list[Row]:
        """Every row of a table that is about payment `n`."""
        name = "reference" if table.startswith("psp_") else "intent"
        return [row for row in self.tables[table] if row[name] == intent(n)]

    def drop(self, table: str, n: int) -> None:
        """Remove what a table says about payment `n`."""
        for row in self.all_of(table, n):
            self.tables[table].remove(row)

    def event(self, at_s: float, kind: str, name: str, what: str, detail: str = "{}") -> None:
        """One event."""
        self["events"].append(
            {"at_ns": round(at_s * S), "kind": kind, "name": name, "what": what, "detail": detail}
        )

    def remedy(self, name: str, steps: dict[str, tuple[float, float]], **detail: Any) -> None:
        """A remedy that went right: its steps with their begin and end, each with this detail."""
        text = json.dumps(detail)
        self.event(min(start for start, _ in steps.values()), "remedy", name, "begin", text)
        for step, (start_s, end_s) in steps.items():
            for at_s, what in ((start_s, "begin"), (end_s, "end")):
                said = json.dumps({"step": step, **detail})
                self.event(at_s, "remedy_step", name, what, said)
        self.event(max(end for _, end in steps.values()), "remedy", name, "end", text)

    def snapshot(self, moment: str, node: str, at_s: float, payments: Iterable[int]) -> None:
        """What a database holds of these payments: as the books have them, all that they are."""
        place = {"moment": moment, "node": node, "at_ns": round(at_s * S)}
        self.tables.setdefault("snapshots", [])
        self.tables.setdefault("commits", [])
        self.tables.setdefault("snapshot_keys", [])
        for n in payments:
            for row in self.all_of("books_payments", n):
                kept = {k: v for k, v in row.items() if k not in ("refunded_minor", "psp_payment")}
                self["snapshots"].append(place | kept)
            for row in self.all_of("books_transitions", n):
                kept = {k: row[k] for k in ("payment", "intent", "seq", "to_state", "at_us")}
                self["commits"].append(place | {"epoch": 1, "region": "a"} | kept)
            made = self.of("books_transitions", n)
            key = {"key": f"key-{n}", "resource": f"pay-{n}", "created_us": made["at_us"]}
            self["snapshot_keys"].append(place | key)

    def sample(self, at_s: float, node: str, metric: str, value: float) -> None:
        """One sample of a metric."""
        self.tables.setdefault("samples", []).append(
            {"at_ns": round(at_s * S), "node": node, "metric": metric, "value": value}
        )

    def epoch(self, epoch: int, region: str, at_s: float) -> None:
        """A region took the lease."""
        row = {"epoch": epoch, "region": region, "taken_us": wall(at_s)}
        self.tables.setdefault("epochs", []).append(row)

    def attempt(self, n: int, due_s: float, took_ms: float = 20, **more: Any) -> Row:
        """One attempt of the client, sent when due and answered `took_ms` later."""
        due_ns = round(due_s * S)
        row = {
            "intent": intent(n),
            "n": n,
            "operation": "pay",
            "attempt": 1,
            "source": "load",
            "journey": "checkout",
            "kind": "create",
            "key": f"key-{n}",
            "amount_minor": 1000 + n,
            "currency": "eur",
            "due_ns": due_ns,
            "sent_ns": due_ns,
            "done_ns": due_ns + round(took_ms * MS),
            "outcome": "ok",
            "status": 200,
            "answer": "succeeded",
            "payment": f"pay-{n}",
        } | more
        self["attempts"].append(row)
        return row

    def psp_attempt(self, n: int, at_s: float, **more: Any) -> Row:
        """One request that reached the PSP."""
        row = {
            "request": f"req-{len(self['psp_attempts'])}",
            "endpoint": "payment_intents.create",
            "reference": intent(n),
            "key": f"psp-key-{n}",
            "received_ns": round(at_s * S),
            "answered_ns": round(at_s * S) + MS,
            "status": 200,
        } | more
        self["psp_attempts"].append(row)
        return row

    def charge(self, n: int, at_s: float = 0.0, **more: Any) -> Row:
        """One captured charge at the PSP."""
        row = {
            "charge": f"ch-{len(self['psp_charges'])}",
            "payment_intent": f"pi-{n}",
            "reference": intent(n),
            "amount_minor": 1000 + n,
            "captured_minor": 1000 + n,
            "refunded_minor": 0,
            "currency": "eur",
            "status": "succeeded",
            "captured": True,
            "created_ns": round(at_s * S),
        } | more
        self["psp_charges"].append(row)
        return row

    def journal(self, n: int, kind: str, minor: int, name: str | None = None) -> None:
        """One balanced journal of the service; a refund or a reversal goes the other way."""
        sign = 1 if kind == "capture" else -1
        journal = name or f"{kind}:pay-{n}"
        for account, amount in (("psp_receivable", minor), ("merchant_payable", -minor)):
            self["books_entries"].append(
                {
                    "entry": f"{journal}:{account}",
                    "journal": journal,
                    "journal_kind": kind,
                    "account": account,
                    "amount_minor": sign * amount,
                    "currency": "eur",
                    "payment": f"pay-{n}",
                    "intent": intent(n),
                }
            )

    def booking(self, n: int, steps: dict[str, float], **more: Any) -> Row:
        """A payment in the service's books that went through these states, each at a time."""
        before = None
        for state, at_s in steps.items():
            self.transition(n, at_s, state, from_state=before)
            before = state
        row = {
            "payment": f"pay-{n}",
            "intent": intent(n),
            "state": before,
            "amount_minor": 1000 + n,
            "captured_minor": 1000 + n if before == "succeeded" else 0,
            "refunded_minor": 0,
            "currency": "eur",
            "psp_payment": f"pi-{n}",
            "created_us": wall(min(steps.values())),
            "updated_us": wall(max(steps.values())),
        } | more
        self["books_payments"].append(row)
        return row

    def transition(self, n: int, at_s: float, state: str, **more: Any) -> Row:
        """The next change of state of payment `n`, and the message that tells of it."""
        row = {
            "payment": f"pay-{n}",
            "intent": intent(n),
            "seq": len(self.all_of("books_transitions", n)) + 1,
            "from_state": None,
            "to_state": state,
            "cause": "answer",
            "at_us": wall(at_s),
        } | more
        self["books_transitions"].append(row)
        if state != "processing":
            self.message(n, f"payment.{state}", at_s)
        return row

    def message(self, n: int, kind: str, at_s: float, took_ms: float = 5) -> Row:
        """A message of the service's outbox that was sent `took_ms` later."""
        row = {
            "message": f"message-{len(self['books_outbox'])}",
            "kind": kind,
            "intent": intent(n),
            "state": "sent",
            "created_us": wall(at_s),
            "sent_us": wall(at_s + took_ms / 1000),
        }
        self["books_outbox"].append(row)
        return row

    def webhook(
        self, n: int, at_s: float, kind: str, subject: str, *, effects: int = 0, lost: bool = False
    ) -> Row:
        """An event of the PSP and its delivery, the second one if the first was `lost`."""
        event = f"evt-{next(self._events)}"
        answers = [None, 200] if lost else [200]
        about = {"event": event, "type": kind, "object": subject, "reference": intent(n)}
        made = {"attempt": 0, "at_ns": round(at_s * S), "delivered": False}
        self["psp_events"].append(about | made)
        for number, status in enumerate(answers, 1):
            sent_ns = round((at_s + 0.001 + 0.2 * (number - 1)) * S)
            self["psp_events"].append(
                about
                | {
                    "attempt": number,
                    "at_ns": sent_ns,
                    "answered_ns": sent_ns + MS,
                    "status": status,
                    "delivered": status is not None,
                }
            )
        row = {
            "event": event,
            "type": kind,
            "object": subject,
            "intent": intent(n),
            "state": "applied" if effects else "ignored",
            "deliveries": 1,
            "effects": effects,
            "received_us": wall(at_s + 0.002),
        }
        self["books_inbox"].append(row)
        return row

    def payment(self, n: int, due_s: float, *, twice: bool = False, source: str = "load") -> None:
        """A payment that went right everywhere; `twice`: its first answer was lost.

        Then the service learns what became of it from the PSP's event, the first delivery of
        which is lost as well.
        """
        if twice:
            self.attempt(
                n,
                due_s,
                3000,
                outcome="unknown",
                status=None,
                answer=None,
                error="timeout",
                source=source,
            )
            self.attempt(n, due_s + 3, attempt=2, source=source)
            self.psp_attempt(
                n, due_s + 0.01, answered_ns=None, point="after_commit_lost", rule="lost"
            )
        else:
            self.attempt(n, due_s, source=source)
        self.psp_attempt(n, due_s + (3.01 if twice else 0.01))
        self.charge(n, due_s + 0.01)
        known_s = due_s + (0.212 if twice else 0.015)
        self.booking(n, {"processing": due_s + 0.005, "succeeded": known_s})
        self.webhook(
            n, due_s + 0.01, "payment_intent.succeeded", f"pi-{n}", effects=int(twice), lost=twice
        )
        self.journal(n, "capture", 1000 + n)

    def declined(self, n: int, due_s: float) -> None:
        """A payment that was declined, and is so everywhere."""
        self.attempt(n, due_s, answer="declined", status=402)
        self.psp_attempt(n, due_s + 0.01, status=402)
        self.charge(n, due_s + 0.01, status="failed", captured_minor=0, captured=False)
        self.booking(n, {"processing": due_s + 0.005, "declined": due_s + 0.015})
        self.webhook(n, due_s + 0.01, "payment_intent.payment_failed", f"pi-{n}")

    def refund(self, n: int, minor: int, at_s: float, operation: str = "refund.1") -> None:
        """A refund of payment `n` that went right everywhere."""
        self.attempt(
            n,
            at_s,
            kind="refund",
            operation=operation,
            key=f"key-{n}-{operation}",
            amount_minor=minor,
        )
        self.psp_attempt(n, at_s + 0.01, endpoint="refunds.create", key=f"psp-key-{n}-{operation}")
        self["psp_refunds"].append(
            {
                "refund": f"re-{n}-{operation}",
                "charge": self.of("psp_charges", n)["charge"],
                "payment_intent": f"pi-{n}",
                "reference": intent(n),
                "amount_minor": minor,
                "currency": "eur",
                "status": "succeeded",
                "created_ns": round((at_s + 0.01) * S),
            }
        )
        self.webhook(n, at_s + 0.01, "refund.created", f"re-{n}-{operation}")
        self["books_refunds"].append(
            {
                "refund": f"refund-{n}-{operation}",
                "payment": f"pay-{n}",
                "intent": intent(n),
                "state": "succeeded",
                "amount_minor": minor,
                "currency": "eur",
                "psp_refund": f"re-{n}-{operation}",
                "created_us": wall(at_s + 0.005),
                "updated_us": wall(at_s + 0.015),
            }
        )
        self.message(n, "refund.succeeded", at_s + 0.015)
        self.of("psp_charges", n)["refunded_minor"] += minor
        self.of("books_payments", n)["refunded_minor"] += minor
        self.journal(n, "refund", minor, f"refund:{n}:{operation}")

    def balance(self) -> None:
        """Keep the balances that the entries add up to."""
        sums: dict[tuple[str, str], int] = {}
        for row in self["books_entries"]:
            key = row["account"], row["currency"]
            sums[key] = sums.get(key, 0) + row["amount_minor"]
        self.tables["books_balances"] = [
            {"account": account, "currency": currency, "balance_minor": minor}
            for (account, currency), minor in sums.items()
        ]

    def run(self, shuffled: random.Random | None = None) -> Run:
        """The run, its rows in order or in disorder."""
        tables = {name: list(rows) for name, rows in self.tables.items()}
        for rows in tables.values():
            if shuffled is not None:
                shuffled.shuffle(rows)
        return Run.from_rows(self.meta, **tables)


def intent(n: int) -> str:
    """The intent of a number."""
    return f"{RUN}-{n}"


def wall(at_s: float) -> int:
    """A moment of run time on the wall clock, in microseconds."""
    return ZERO_US + round(at_s * 1_000_000)


def flawless(payments: int = 20) -> History:
    """A run in which everything went right: payments half a second apart, some tried twice."""
    history = History()
    for phase, (start, end) in PHASES.items():
        history.event(start, "phase", phase, "begin")
        history.event(end, "phase", phase, "end")
    for at_s, what in ((10, "inject"), (10.01, "injected"), (18, "heal"), (18.01, "healed")):
        history.event(at_s, "fault", "lost", what)
    history.event(41.5, "step", "settle", "end", '{"settled": true}')
    history.event(42.5, "step", "reconcile", "end", '{"pass": 1}')
    for n in range(payments):
        if n % 7 == 6:
            history.declined(n, n / 2)
        else:
            history.payment(n, n / 2, twice=n % 5 == 0, source="probe" if n % 9 == 8 else "load")
    history.balance()
    return history


@dataclass
class Said:
    """What a checker said, sorted out."""

    findings: list[Finding]
    measures: dict[str, Measure]
    doubts: list[Doubt]

    def value(self, name: str) -> Any:
        """The value of a measure."""
        return self.measures[name].value

    @property
    def about(self) -> list[str | None]:
        """The intents that findings are about."""
        return [finding.intent for finding in self.findings]

    @property
    def passes(self) -> bool:
        """Nothing found, nothing doubted."""
        return not self.findings and not self.doubts


def sort_out(results: Iterable[Result]) -> Said:
    """Collect the results of a checker."""
    said = Said([], {}, [])
    for result in results:
        if isinstance(result, Finding):
            said.findings.append(result)
        elif isinstance(result, Measure):
            assert result.name not in said.measures, f"measured twice: {result.name}"
            said.measures[result.name] = result
        else:
            said.doubts.append(result)
    return said


@pytest.fixture
def history() -> History:
    """A flawless run, to be spoilt."""
    return flawless()


@pytest.fixture
def empty() -> History:
    """A run with no payments but all its phases."""
    return flawless(0)


@pytest.fixture
def ask() -> Callable[..., Said]:
    """Ask a checker about a run."""

    def asked(checker: Callable[..., Iterable[Result]], run: Run, **parameters: Any) -> Said:
        return sort_out(checker(run, **parameters))

    return asked


@pytest.fixture
def same_in_any_order() -> Callable[..., None]:
    """Assert that a checker says the same whatever order the rows are in."""

    def compare(
        checker: Callable[..., Iterable[Result]], history: History, seed: int, **parameters: Any
    ) -> None:
        ordered = list(checker(history.run(), **parameters))
        shuffled = list(checker(history.run(random.Random(seed)), **parameters))
        assert ordered == shuffled

    return compare


@pytest.fixture(scope="session")
def flawless_run() -> Callable[..., History]:
    """Makes a flawless run of so many payments: a property test needs a fresh one each time."""
    return flawless


@pytest.fixture(scope="session")
def empty_run() -> Callable[[], History]:
    """Makes a run with no payments but all its phases."""
    return lambda: flawless(0)

"""A long run, made in one go with NumPy: right everywhere but for what is planted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from payresil.core.canaries import fingerprint
from payresil.core.protocols import Secrets
from payresil.core.schemas import SCHEMA_VERSION, SCHEMAS
from payresil.core.tables import write_sealed

CHECKS = (
    "idempotency",
    "durability",
    "reconciliation",
    "double_entry",
    "availability",
    "latency",
    "recovery",
    "no_leaks",
    "lifecycle",
    "refunds",
    "webhooks",
    "convergence",
    "amplification",
    "approval_rate",
    "balancing",
    "golden_signals",
    "structured_logs",
)

#: Violations by kind, and how many findings each gives by check.
PLANTED: dict[str, dict[str, int]] = {
    "charged twice": {"idempotency": 1, "reconciliation": 1},
    "booking lost": {"durability": 1, "reconciliation": 1},
    "charge missing": {"durability": 1, "reconciliation": 1},
    "phantom": {"reconciliation": 1},
    "amount": {"durability": 1, "reconciliation": 1},
    "currency": {"durability": 1, "reconciliation": 1, "double_entry": 2},
    "told otherwise": {"durability": 1, "reconciliation": 1},
    "stuck": {"reconciliation": 1},
    "journal off": {"double_entry": 1},
    "journal missing": {"double_entry": 1},
    "contradicted": {"idempotency": 1, "reconciliation": 1},
    "illegal step": {"lifecycle": 1},
    "refund not booked": {"refunds": 2, "reconciliation": 1},
    "applied twice": {"webhooks": 1},
    "asked again and again": {"amplification": 1},
}
#: Findings that are one however many payments they are about: what leaked in a table and in a log,
#: and payments that are still open.
_ONCE = {"no_leaks": 2, "convergence": 1}
_REFUND_MINOR = 100
_STORM = 9  # requests to the PSP for one payment
_RUN = "0badcafe"
_RUN_NS = 400 * 1_000_000_000  # however many attempts: the rate follows
_MS = 1_000_000
_LOG_MB = 50
_INSTANCES = ("a/service.1", "a/service.2")
#: Attempts of each intent, on average: every fourth is tried twice, every eighth refunded.
_ATTEMPTS_EACH = 1.375

Ints = npt.NDArray[np.int64]
Table = dict[str, Any]


@dataclass(frozen=True)
class LongRun:
    """A run of 400 s with so many intents; `victims` are the numbers of each violation."""

    intents: int
    each: int

    @property
    def n(self) -> Ints:
        """Numbers of the intents."""
        return np.arange(self.intents, dtype=np.int64)

    @cached_property
    def victims(self) -> dict[str, Ints]:
        """While the fault is active, and odd: those are tried once, so none makes another one."""
        steps = np.arange(self.each, dtype=np.int64) * len(PLANTED) + self.intents // 8
        victims = {kind: (steps + i) * 2 + 1 for i, kind in enumerate(PLANTED)}
        if max(numbers[-1] for numbers in victims.values()) >= self.intents // 2:
            raise SystemExit("too few attempts for so many violations")
        return victims

    @cached_property
    def refunded(self) -> Ints:
        """Numbers of the intents that are refunded in part; they are tried once."""
        return np.concatenate([self.n[self.n % 8 == 2], self.victims["refund not booked"]])

    @property
    def refunds_booked(self) -> Ints:
        """Numbers of those whose refund the service knows of."""
        return self.n[self.n % 8 == 2]

    def _due(self, n: Ints) -> Ints:
        return n * (_RUN_NS // self.intents)

    def _wall(self, n: Ints) -> Ints:
        return 1_700_000_000_000_000 + self._due(n) // 1000

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every table, one at a time."""
        attempts = self.attempts()
        yield "attempts", attempts
        yield "samples", _samples(attempts)
        yield "psp_attempts", self.psp_attempts()
        yield "psp_charges", self.psp_charges()
        yield "psp_events", self.psp_events()
        yield "books_payments", self.books_payments()
        yield "books_transitions", self.books_transitions()
        entries = self.books_entries()
        yield "books_balances", _balances(entries)
        yield "books_entries", entries
        yield "books_inbox", self.books_inbox()
        yield "events", _events()
        yield "reserved", {"first": [0], "count": [self.intents], "source": ["load"]}
        yield "psp_refunds", self.psp_refunds()
        yield "books_refunds", self.books_refunds()
        yield "books_outbox", {"message": []}

    def attempts(self) -> Table:
        """Every fourth number, all even, was tried twice: its first answer got lost."""
        n = self.n
        twice = n[n % 4 == 0]
        again = self.victims["contradicted"]
        pays = len(n) + len(twice) + len(again)
        which = np.concatenate([n, twice, again, self.refunded])
        is_refund = np.arange(len(which)) >= pays
        attempt = np.full(len(which), 1)
        attempt[len(n) : pays] = 2
        late = np.where(attempt == 2, 30 * _MS, 0) + is_refund * 1000 * _MS
        lost = (which % 4 == 0) & (attempt == 1) | np.isin(which, self.victims["stuck"])
        declined = np.isin(which, self.victims["told otherwise"])
        declined[len(n) + len(twice) : pays] = True
        answer = np.where(declined, "declined", "succeeded")
        due = self._due(which) + late
        return {
            "intent": _intent(which),
            "n": which,
            "operation": np.where(is_refund, "refund.1", "pay"),
            "attempt": attempt,
            "source": _constant("load", len(which)),
            "journey": _constant("checkout", len(which)),
            "kind": np.where(is_refund, "refund", "create"),
            "key": _named("key-6f1c2a9e-", which + is_refund * 10 * len(n)),
            "amount_minor": np.where(is_refund, _REFUND_MINOR, _minor(which)),
            "currency": _constant("eur", len(which)),
            "due_ns": due,
            "sent_ns": due + _MS // 2,
            "done_ns": due + (20 + which % 50) * _MS,
            "outcome": np.where(lost, "unknown", "ok"),
            "status": np.where(lost, 202, 200),
            "answer": pa.array(answer, mask=lost),
            "payment": _named("pay_01J9ZK7Q4M8C-", which),
            "region": _constant("a", len(which)),
            "instance": np.where(which % 8 < 4, *_INSTANCES),
        }

    def psp_attempts(self) -> Table:
        """One request an intent and one a refund, two where the first answer was lost."""
        n = self.n
        twice = n[n % 4 == 0]
        storm = np.repeat(self.victims["asked again and again"], _STORM - 1)
        which = np.concatenate([n, twice, storm, self.refunded])
        is_refund = np.arange(len(which)) >= len(which) - len(self.refunded)
        at = self._due(which) + 2 * _MS + is_refund * 1000 * _MS
        lost = np.zeros(len(which), bool)
        lost[len(n) : len(n) + len(twice)] = True
        return {
            "request": _named("req_5Yt0pQ-", np.arange(len(which))),
            "endpoint": np.where(is_refund, "refunds.create", "payment_intents.create"),
            "reference": _intent(which),
            "key": _named("psp-key-3b9d-", which),
            "received_ns": at,
            "answered_ns": pa.array(at + 5 * _MS, mask=lost),
            "status": np.full(len(which), 200),
            "payment_intent": _named("pi_3PqXw2-", which),
            "charge": _named("ch_3PqXw2-", which),
            "point": pa.array(np.full(len(which), "after_commit_lost"), mask=~lost),
        }

    def psp_charges(self) -> Table:
        """One captured charge an intent, but for the victims."""
        n = self.n
        without = [self.victims[kind] for kind in ("charge missing", "stuck")]
        kept = n[~np.isin(n, np.concatenate(without))]
        phantoms = self.victims["phantom"] + 10 * len(n)
        which = np.concatenate([kept, self.victims["charged twice"], phantoms])
        minor = _minor(which) + np.isin(which, self.victims["amount"])
        return {
            "charge": _named("ch_3PqXw2-", _told_apart(which, len(kept), 20 * len(n))),
            "payment_intent": _named("pi_3PqXw2-", which),
            "reference": _intent(which),
            "key": _named("psp-key-3b9d-", which),
            "amount_minor": minor,
            "captured_minor": minor,
            "refunded_minor": np.isin(which, self.refunded) * _REFUND_MINOR,
            "currency": _constant("eur", len(which)),
            "status": _constant("succeeded", len(which)),
            "captured": np.full(len(which), True),
            "created_ns": self._due(which) + 4 * _MS,
        }

    def psp_refunds(self) -> Table:
        """One refund of each refunded intent."""
        which = self.refunded
        return {
            "refund": _named("re_3PqXw2-", which),
            "charge": _named("ch_3PqXw2-", which),
            "payment_intent": _named("pi_3PqXw2-", which),
            "reference": _intent(which),
            "amount_minor": np.full(len(which), _REFUND_MINOR),
            "currency": _constant("eur", len(which)),
            "status": _constant("succeeded", len(which)),
            "created_ns": self._due(which) + 1004 * _MS,
        }

    def books_refunds(self) -> Table:
        """The same, but for the victims."""
        which = self.refunds_booked
        return {
            "refund": _named("rf_01J9ZK7Q4M8C-", which),
            "payment": _named("pay_01J9ZK7Q4M8C-", which),
            "intent": _intent(which),
            "state": _constant("succeeded", len(which)),
            "amount_minor": np.full(len(which), _REFUND_MINOR),
            "currency": _constant("eur", len(which)),
            "psp_refund": _named("re_3PqXw2-", which),
            "created_us": self._wall(which) + 1_000_000,
            "updated_us": self._wall(which) + 1_006_000,
        }

    def psp_events(self) -> Table:
        """Creation and delivery of one event an intent."""
        n = self.n
        which = np.concatenate([n, n])
        return {
            "event": _named("evt_1PqXw2-", which),
            "type": _constant("payment_intent.succeeded", len(which)),
            "reference": _intent(which),
            "object": _named("pi_3PqXw2-", which),
            "attempt": np.repeat([0, 1], len(n)),
            "at_ns": self._due(which) + 9 * _MS,
            "status": np.full(len(which), 200),
            "delivered": np.repeat([False, True], len(n)),
        }

    def books_payments(self) -> Table:
        """One payment an intent, but for the victims."""
        n = self.n
        which = n[~np.isin(n, self.victims["booking lost"])]
        stuck = np.isin(which, self.victims["stuck"])
        return {
            "payment": _named("pay_01J9ZK7Q4M8C-", which),
            "intent": _intent(which),
            "state": np.where(stuck, "processing", "succeeded"),
            "amount_minor": _minor(which),
            "captured_minor": np.where(stuck, 0, _minor(which)),
            "refunded_minor": np.isin(which, self.refunds_booked) * _REFUND_MINOR,
            "currency": np.where(np.isin(which, self.victims["currency"]), "usd", "eur"),
            "psp_payment": _named("pi_3PqXw2-", which),
            "created_us": self._wall(which),
            "updated_us": self._wall(which) + 20_000,
        }

    def books_transitions(self) -> Table:
        """From nothing to processing to succeeded, but for the victims."""
        n = self.n[~np.isin(self.n, self.victims["booking lost"])]
        done = n[~np.isin(n, self.victims["stuck"])]
        which = np.concatenate([n, done])
        new = np.arange(len(which)) < len(n)
        strange = np.isin(which, self.victims["illegal step"])
        return {
            "payment": _named("pay_01J9ZK7Q4M8C-", which),
            "intent": _intent(which),
            "seq": np.where(new, 1, 2),
            "from_state": pa.array(np.where(strange, "declined", "processing"), mask=new),
            "to_state": np.where(new, "processing", "succeeded"),
            "cause": np.where(new, "request", "answer"),
            "at_us": self._wall(which) + np.where(new, 0, 6000),
        }

    def books_entries(self) -> Table:
        """One journal of two legs a capture and a refund, but for the victims."""
        n = self.n
        without = [self.victims[kind] for kind in ("journal missing", "booking lost", "stuck")]
        posted = n[~np.isin(n, np.concatenate(without))]
        back = self.refunds_booked
        which = np.concatenate([posted, posted, back, back])
        is_refund = np.arange(len(which)) >= 2 * len(posted)
        credit = np.repeat(
            [False, True, False, True], [len(posted), len(posted), len(back), len(back)]
        )
        off = credit & np.isin(which, self.victims["journal off"])
        minor = np.where(is_refund, _REFUND_MINOR, _minor(which))
        payment = _named("pay_01J9ZK7Q4M8C-", which)
        kind = pa.array(np.where(is_refund, "refund", "capture"))
        journal = pc.binary_join_element_wise(kind, payment, ":")
        return {
            "entry": pc.binary_join_element_wise(journal, "leg", ":"),
            "journal": journal,
            "journal_kind": kind,
            "account": np.where(credit ^ is_refund, "merchant_payable", "psp_receivable"),
            "amount_minor": np.where(credit, -minor, minor) + off,
            "currency": _constant("eur", len(which)),
            "payment": payment,
            "intent": _intent(which),
            "at_us": self._wall(which),
        }

    def books_inbox(self) -> Table:
        """One event an intent."""
        n = self.n
        return {
            "event": _named("evt_1PqXw2-", n),
            "type": _constant("payment_intent.succeeded", len(n)),
            "object": _named("pi_3PqXw2-", n),
            "intent": _intent(n),
            "state": _constant("applied", len(n)),
            "deliveries": np.full(len(n), 1),
            "effects": 1 + np.isin(n, self.victims["applied twice"]),
            "received_us": self._wall(n),
        }


def plant_and_write(folder: Path, attempts: int, each: int) -> tuple[dict[str, int], int]:
    """Write the folder; findings expected by check, and rows written."""
    sown = _sow()
    rows = 0
    for name, columns in LongRun(int(attempts / _ATTEMPTS_EACH), each).tables():
        if name == "attempts":
            leaks = len(columns["intent"]) - 1
            columns["error"] = [f"refused, token {sown.api_token}"] + [None] * leaks
        table = _table(name, columns)
        rows += table.num_rows
        write_sealed(folder, name, table)
    _write_files(folder, sown)
    expected = dict.fromkeys(CHECKS, 0)
    for findings in PLANTED.values():
        for check, count in findings.items():
            expected[check] += count * each
    for check, count in _ONCE.items():
        expected[check] += count
    return expected, rows


def _table(name: str, columns: Table) -> pa.Table:
    schema = SCHEMAS[name]
    length = len(next(iter(columns.values())))
    return pa.table(
        [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.nulls(length, field.type)
            for field in schema
        ],
        schema=schema,
    )


def _named(prefix: str, n: Ints, suffix: str = "") -> pa.Array:
    numbers = pc.cast(pa.array(n), pa.string())
    return pc.binary_join_element_wise(pa.scalar(prefix), numbers, pa.scalar(suffix), "")


def _intent(n: Ints) -> pa.Array:
    return _named(f"{_RUN}-", n)


def _minor(n: Ints) -> Ints:
    return 1000 + n % 5000


def _constant(text: str, length: int) -> pa.Array:
    return pa.repeat(text, length)


def _told_apart(which: Ints, kept: int, apart: int) -> Ints:
    """The same numbers, those from the `kept`-th on made others."""
    return np.concatenate([which[:kept], which[kept:] + apart])


def _samples(attempts: Table) -> Table:
    """What each instance had counted, every second."""
    done, took = attempts["done_ns"], attempts["done_ns"] - attempts["sent_ns"]
    seconds = np.arange(0, _RUN_NS, 1000 * _MS)
    parts: dict[str, list[Any]] = {
        name: [] for name in ("at_ns", "node", "metric", "labels", "value")
    }
    for k, node in enumerate(_INSTANCES):
        mine = attempts["instance"] == node
        order = np.argsort(done[mine])
        at = seconds + k * _MS
        counted = np.searchsorted(done[mine][order], at, side="right")
        waited = np.concatenate([[0], np.cumsum(took[mine][order])])[counted] / 1e9
        figures = {
            "up": np.ones(len(at)),
            "requests_total": counted,
            "request_seconds_count": counted,
            "request_seconds_sum": waited * 0.9,
            "in_flight": np.full(len(at), 3),
        }
        for metric, values in figures.items():
            parts["at_ns"].append(at)
            parts["node"] += [node] * len(at)
            parts["metric"] += [metric] * len(at)
            parts["labels"] += ['status="200"' if metric == "requests_total" else ""] * len(at)
            parts["value"].append(values.astype(float))
    return parts | {name: np.concatenate(parts[name]) for name in ("at_ns", "value")}


def _balances(entries: Table) -> Table:
    columns = {name: pa.array(entries[name]) for name in ("account", "amount_minor")}
    sums = pa.table(columns).group_by("account").aggregate([("amount_minor", "sum")])
    return {
        "account": sums["account"],
        "currency": ["eur"] * len(sums),
        "balance_minor": sums["amount_minor_sum"],
    }


def _events() -> Table:
    end_ns = _RUN_NS
    names = ["steady", "faulted", "recovering", "drain", "settle", "audit"]
    starts = [0, end_ns // 4, end_ns // 2, end_ns, end_ns + 10**9, end_ns + 2 * 10**9]
    rows: list[tuple[int, str, str, str, str]] = []
    for name, start, end in zip(names, starts, [*starts[1:], end_ns + 3 * 10**9], strict=True):
        rows += [(start, "phase", name, "begin", "{}"), (end, "phase", name, "end", "{}")]
    for what, at in (("inject", 1), ("injected", 1), ("heal", 2), ("healed", 2)):
        rows.append((starts[at], "fault", "lost", what, "{}"))
    rows.append((starts[5], "step", "settle", "end", json.dumps({"settled": True})))
    columns = list(zip(*rows, strict=True))
    return dict(zip(("at_ns", "kind", "name", "what", "detail"), columns, strict=True))


def _sow() -> Secrets:
    cards = tuple(
        f"400002{number:010d}" for number in (secrets.randbelow(10**10) for _ in range(16))
    )
    token = secrets.token_urlsafe
    return Secrets(
        token(24), token(24), "sk_test_" + token(24), "whsec_" + token(24), token(24), cards, "123"
    )


def _write_files(folder: Path, sown: Secrets) -> None:
    meta = {
        "run": _RUN,
        "scenario": "bench",
        "seed": 1,
        "schema_version": SCHEMA_VERSION,
        "zero_wall_us": 1_700_000_000_000_000,
        "canaries": fingerprint(sown),
        "nodes": list(_INSTANCES),
        "signals": {
            "traffic": "requests_total",
            "latency": "request_seconds",
            "saturation": "in_flight",
        },
        "logs": {"time": "ts", "level": "level", "event": "event", "reference": "intent"},
    }
    (folder / "run.json").write_text(json.dumps(meta))
    (folder / "logs").mkdir()
    lines = "".join(
        f'{{"ts":"2026-01-01T00:00:00.{i % 1000:03d}Z","level":"info","event":"payment.succeeded",'
        f'"payment":"{secrets.token_urlsafe(16)}","amount_minor":{i % 5000},'
        f'"at_ns":{400_000_000_000 + i * 1009},"intent":"{_RUN}-{i}"}}\n'
        for i in range(20_000)
    ).encode()
    for node in _INSTANCES:
        with (folder / "logs" / f"{node.replace('/', '.')}.log").open("wb") as log:
            for _ in range(_LOG_MB * 10**6 // len(lines) // len(_INSTANCES)):
                log.write(lines)
            if node == _INSTANCES[0]:
                log.write(
                    lines.splitlines()[-1].replace(b"payment", sown.card_numbers[3].encode(), 1)
                )

"""What the service is asked when a run ends: settled, reconciled, its books."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from payresil.core.protocols import Endpoints, EnvironmentBroke, Psp
from payresil.core.schemas import SCHEMAS
from payresil.core.tables import TableError, from_rows
from payresil.engine.books import query_books
from payresil.engine.doctor.payments import AMOUNT_MINOR, CURRENCY, Visit
from payresil.engine.doctor.seen import Findings, Seen
from payresil.engine.service_calls import ServiceCallFailed, ServiceCalls
from payresil.engine.system_rules import STATES

_SETTLE_S = 15.0
_PAYMENTS = "books_payments"
#: Columns without which nobody could compare anything.
_NEEDED = {
    _PAYMENTS: ("payment", "intent", "state", "amount_minor", "captured_minor", "currency"),
    "books_refunds": ("refund", "payment", "intent", "state", "amount_minor", "currency"),
}
_HOUR_US = 3_600_000_000


def keeping(visit: Visit, endpoints: Endpoints, calls: ServiceCalls, psp: Psp) -> Findings:
    """Ask as a run does after its last customer."""
    yield from _settle(visit, calls, psp)
    yield from _reconcile(visit, calls)
    yield from _books(visit, endpoints, calls)


def _settle(visit: Visit, calls: ServiceCalls, psp: Psp) -> Findings:
    settle = visit.system.settle
    if settle is None:
        words = "not in the system file: a run waits until the PSP has been quiet for a while"
        if not psp.pending():
            words = "not in the system file, and no PSP to ask: no run can tell that it settled"
        yield Seen("settle", "skipped", words)
        return
    result = calls.settle(settle, psp, _SETTLE_S, lambda: False)
    if result["settled"]:
        yield Seen("settle", "good", f"{', '.join(settle.zero)} came to 0")
    elif result["error"]:
        yield Seen("settle", "wrong", str(result["error"]), visit.at("settle"))
    else:
        left = ", ".join(f"{name} {count}" for name, count in result["pending"].items() if count)
        words = f"after {_SETTLE_S:g} s there was still {left}"
        yield Seen("settle", "wrong", words, visit.at("settle", "zero"))


def _reconcile(visit: Visit, calls: ServiceCalls) -> Findings:
    job = visit.system.reconcile
    if job is None:
        words = "not in the system file: a run only compares the books"
        yield Seen("reconcile", "skipped", words)
        return
    try:
        calls.reconcile(job)
        _, again = calls.reconcile(job)
    except ServiceCallFailed as error:
        key = "remedied" if "counter" in str(error) else "request"
        yield Seen("reconcile", "wrong", str(error), visit.at("reconcile", key))
        return
    if again is None:
        words = "no `remedied`: nothing tells that the job, run again, changes nothing more"
        yield Seen("reconcile", "doubtful", words, visit.at("reconcile"))
    elif again:
        words = f"run again at once, it changed {again} things once more"
        yield Seen("reconcile", "wrong", words, visit.at("reconcile", "remedied"))
    else:
        yield Seen("reconcile", "good", f"{job.remedied} is 0 when it is run again")


def _books(visit: Visit, endpoints: Endpoints, calls: ServiceCalls) -> Findings:
    if not visit.system.books:
        yield Seen("books", "wrong", "no books: nothing can be compared", visit.at("books"))
        return
    for table, sql in visit.system.books.items():
        only = replace(visit.system, books={table: sql})
        try:
            rows = query_books(only, endpoints, calls)[table]
        except EnvironmentBroke as error:
            words = str(error).removeprefix("books: ")
            yield Seen(table, "wrong", words, visit.at("books", table))
            continue
        yield from _table(visit, table, rows)


def _table(visit: Visit, table: str, rows: list[dict[str, Any]]) -> Findings:
    where = visit.at("books", table)
    try:
        from_rows(table, rows)
    except (TableError, TypeError, ValueError) as error:
        known = ", ".join(SCHEMAS[table].names)
        yield Seen(table, "wrong", f"{error}; its columns are {known}", where)
        return
    missing = [name for name in _NEEDED.get(table, ()) if rows and name not in rows[0]]
    if missing:
        words = f"the query gives no {', '.join(missing)}"
        yield Seen(table, "wrong", words, where)
        return
    if table == _PAYMENTS:
        yield from _payment(visit, rows)
    else:
        yield Seen(table, "good", f"{len(rows)} rows of the right columns")


def _payment(visit: Visit, rows: list[dict[str, Any]]) -> Findings:
    where = visit.at("books", _PAYMENTS)
    ours = [row for row in rows if row["intent"] == visit.intent]
    if not ours:
        words = f"none of {len(rows)} rows has the intent {visit.intent}, which was paid"
        yield Seen(_PAYMENTS, "wrong", words, where)
        return
    wrong = list(_differences(visit, ours[0]))
    if wrong:
        yield Seen(_PAYMENTS, "wrong", f"of the payment that was made: {'; '.join(wrong)}", where)
    else:
        yield Seen(_PAYMENTS, "good", "the payment that was made is there as it was asked for")


def _differences(visit: Visit, row: Mapping[str, Any]) -> list[str]:
    expected = {
        "payment": visit.payment,
        "amount_minor": AMOUNT_MINOR,
        "captured_minor": AMOUNT_MINOR,
        "currency": CURRENCY,
        "state": "succeeded",
    }
    wrong = [
        f"{name} is {row.get(name)!r}, expected {value!r}"
        for name, value in expected.items()
        if row.get(name) != value
    ]
    states = ", ".join(STATES)
    if row["state"] not in STATES:
        wrong.append(f"a state is one of {states}")
    for name in ("created_us", "updated_us"):
        at_us = row.get(name)
        if at_us is not None and abs(int(at_us) - time.time_ns() // 1000) > _HOUR_US:
            wrong.append(f"{name} is {at_us}, which is no Unix time of now in microseconds")
    return wrong

"""What a run leaves in somebody else's system is listed, and undone as the system file says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from payresil.core.tables import from_rows, write_sealed
from payresil.engine.created import CREATED_FILE, list_created, take_back
from payresil.workloads.undoing import Taking


def attempt(intent: str, payment: str | None, **more: Any) -> dict[str, Any]:
    return {
        "intent": intent, "operation": "pay", "attempt": 1, "source": "load", "kind": "create",
        "amount_minor": 500, "currency": "eur", "due_ns": 1, "sent_ns": 1, "done_ns": 2,
        "outcome": "ok", "answer": "succeeded", "payment": payment, **more,
    }  # fmt: skip


def record(folder: Path, attempts: list[dict[str, Any]], books: list[dict[str, Any]]) -> None:
    write_sealed(folder, "attempts", from_rows("attempts", attempts))
    if books:
        write_sealed(folder, "books_payments", from_rows("books_payments", books))


REFUNDED = [
    attempt("r-1", "p1"),
    attempt("r-1", "p1", kind="refund", operation="refund.1", amount_minor=200),
    attempt("r-1", "p1", kind="refund", operation="refund.1", amount_minor=200, attempt=2),
    attempt("r-2", "p2", answer="authorized"),
    attempt("r-3", "p3", outcome="unknown", answer="processing"),
    attempt("r-4", None, outcome="fail", answer=None),
]


def test_without_the_books_what_customers_know_is_listed(tmp_path: Path) -> None:
    record(tmp_path, REFUNDED, [])
    rows = list_created(tmp_path)
    assert [(row["payment"], row["state"], row["left_minor"]) for row in rows] == [
        ("p1", "succeeded", 300), ("p2", "authorized", 500), ("p3", "unknown", 500),
    ]  # fmt: skip
    assert json.loads((tmp_path / CREATED_FILE).read_text()) == rows


def test_the_books_know_of_payments_that_nobody_was_told_of(tmp_path: Path) -> None:
    booked = {"amount_minor": 500, "captured_minor": 500, "currency": "eur", "state": "succeeded"}
    record(tmp_path, REFUNDED, [
        {"payment": "p1", "intent": "r-1", "refunded_minor": 500, **booked},
        {"payment": "p9", "intent": "r-4", "refunded_minor": 0, **booked},
    ])  # fmt: skip
    rows = {row["payment"]: row for row in list_created(tmp_path)}
    assert set(rows) == {"p1", "p2", "p3", "p9"}
    assert (rows["p1"]["left_minor"], rows["p9"]["left_minor"]) == (0, 500)
    assert rows["p9"]["intent"] == "r-4"


def test_each_state_is_undone_by_its_own_operation(tmp_path: Path) -> None:
    record(tmp_path, REFUNDED, [])
    asked: list[Taking] = []

    def undo(takings: list[Taking]) -> Mapping[str, str]:
        asked.extend(takings)
        return {"p1": "201 succeeded", "p2": "no answer (timeout)"}

    how = {"succeeded": "refund", "authorized": "cancel"}
    counts = take_back(tmp_path, list_created(tmp_path), how, undo)
    assert counts == {"created": 3, "to_undo": 2, "undone": 1}
    assert asked == [
        Taking("r-1", "p1", "refund", 300, "eur"), Taking("r-2", "p2", "cancel", 500, "eur"),
    ]  # fmt: skip
    rows = json.loads((tmp_path / CREATED_FILE).read_text())
    assert {row["payment"]: row["undone"] for row in rows} == {
        "p1": "201 succeeded",
        "p2": "no answer (timeout)",
        "p3": None,
    }


def test_a_run_that_created_nothing(tmp_path: Path) -> None:
    record(tmp_path, [], [])
    assert list_created(tmp_path) == []

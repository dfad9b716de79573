"""The final read of everything unknown."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payresil.core.mapping import MappingError, Request
from payresil.core.tables import read_folder
from payresil.workloads.audit import audit
from payresil.workloads.connection import Address, Connection


def buy(shop: Any, *references: str) -> None:
    async def all_of_them() -> None:
        async with Connection(Address(shop.url)) as connection:
            for one in references:
                body = f'{{"reference": "{one}"}}'.encode()
                request = Request("POST", "/payments", {"Idempotency-Key": one}, body)
                assert (await connection.send(request, 10.0)).error is None

    asyncio.run(all_of_them())


def test_every_intent_is_read_by_its_reference(shop: Any, make_spec: Any) -> None:
    bought = [f"r7-{n}" for n in range(40)]
    buy(shop, *bought)
    spec = make_spec(shop.url)
    rows = audit(spec, [*bought, "r7-900"])
    assert sorted(row.n for row in rows) == [*range(40), 900]
    found = {row.intent: row for row in rows}
    for intent in bought:
        row = found[intent]
        assert (row.outcome, row.answer, row.status) == ("ok", "succeeded", 200)
        assert (row.source, row.operation, row.kind, row.key) == ("audit", "pay", "read", None)
        assert row.due_ns <= row.sent_ns <= row.done_ns
        assert row.payment is not None
    assert (found["r7-900"].outcome, found["r7-900"].status) == ("fail", 404)
    assert read_folder(Path(spec.folder))["attempts"].num_rows == 41


def test_what_is_still_processing_is_unknown(shop: Any, make_spec: Any) -> None:
    shop.mode("processing")
    buy(shop, "r7-1")
    (row,) = audit(make_spec(shop.url), ["r7-1"])
    assert (row.outcome, row.answer) == ("unknown", "processing")


def test_nothing_to_ask(make_spec: Any) -> None:
    spec = make_spec("http://127.0.0.1:1")
    assert audit(spec, []) == []
    assert read_folder(Path(spec.folder))["attempts"].num_rows == 0


def test_a_read_that_is_refused_settles_nothing(make_spec: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        spec = make_spec(f"http://127.0.0.1:{taken.getsockname()[1]}")
        rows = audit(spec, ["r7-1"])
    assert [(row.attempt, row.outcome, row.error) for row in rows] == [
        (1, "unknown", "refused"),
        (2, "unknown", "refused"),
        (3, "unknown", "refused"),
    ]


def test_a_system_without_find_is_told(make_spec: Any) -> None:
    spec = make_spec("http://127.0.0.1:1")
    operations = {name: op for name, op in spec.api.operations.items() if name != "find"}
    with pytest.raises(MappingError, match="no operation 'find'"):
        audit(replace(spec, api=replace(spec.api, operations=operations)), ["r7-1"])


def test_the_harness_imports_no_gevent() -> None:
    assert "payresil.workloads.audit" in sys.modules
    assert not {"gevent", "locust"} & sys.modules.keys()

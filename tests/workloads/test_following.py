"""A customer looks again where the answer said to."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from payresil.core.mapping import Request
from payresil.core.system import Api, Operation
from payresil.workloads.attempts import Attempt, Intent
from payresil.workloads.client import PaymentClient, Terms
from payresil.workloads.transport import Reply

API = Api(
    {"create": Operation("POST /p", {"ref": "{intent}"}, "id", "state", "status_url"),
     "read": Operation("GET /p/{payment}", state="state")},
    final={"done": "succeeded"}, pending=("open",),
)  # fmt: skip


class Slow:
    """Accepts a payment, and says where to ask for it; it is done at the second look."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def send(self, request: Request, timeout_s: float) -> Reply:
        self.asked.append(f"{request.method} {request.path}")
        if request.method == "POST":
            answer = {"id": "p1", "state": "open", "status_url": "https://shop.test/status/p1?v=2"}
            return Reply(202, body=json.dumps(answer).encode())
        state = "done" if len(self.asked) > 2 else "open"
        return Reply(200, body=json.dumps({"state": state}).encode())


class NoWaiting:
    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def sleep_until(self, at_ns: int) -> None:
        self.ns = max(self.ns, at_ns)

    def spawn(self, call: Callable[[], Any]) -> Callable[[], Any]:
        return call


def test_a_payment_is_looked_at_where_its_answer_said_to() -> None:
    slow, rows = Slow(), list[Attempt]()
    intent = Intent("r-1", 1, "load", "checkout", 500, "eur", 0)
    terms = Terms(API, patience_ns=10**10, timeout_s=1)
    client = PaymentClient(intent, {}, Random(1), terms, slow, NoWaiting(), rows.append)
    assert client.pay().state == "succeeded"
    assert slow.asked == ["POST /p", "GET /status/p1?v=2", "GET /status/p1?v=2"]
    assert [row.kind for row in rows] == ["create", "read", "read"]

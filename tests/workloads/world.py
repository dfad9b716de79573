"""A virtual clock, and a service that follows a script."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

from payresil.core.mapping import Request
from payresil.core.registry import journeys
from payresil.core.system import Api, Operation
from payresil.workloads.attempts import Attempt, Intent
from payresil.workloads.client import PaymentClient, Terms
from payresil.workloads.transport import Reply

S = 10**9
API = Api(
    replay_header="Replayed",
    final={name: name for name in ("succeeded", "declined", "authorized", "failed")},
    pending=("processing",),
    operations={
        "create": Operation(
            "POST /p",
            {"ref": "{intent}", "amount": "{amount_minor}", "capture": "{capture}"},
            "id",
            "s",
        ),
        "read": Operation("GET /p/{payment}", payment="id", state="s"),
        "find": Operation("GET /p?ref={intent}", payment="id", state="s"),
        "refund": Operation("POST /p/{payment}/refund", {"amount": "{amount_minor}"}, "id", "s"),
        "capture": Operation("POST /p/{payment}/capture", {"amount": "{amount_minor}"}, "id", "s"),
        "cancel": Operation("POST /p/{payment}/cancel", {}, "id", "s"),
    },
)
INTENT = Intent("r1-4", 4, "load", "checkout", 1250, "eur", 3 * S)

OK = Reply(201, {}, b'{"id": "p1", "s": "succeeded"}')
AUTHORIZED = Reply(201, {}, b'{"id": "p1", "s": "authorized"}')
DECLINED = Reply(402, {}, b'{"id": "p1", "s": "declined"}')
PROCESSING = Reply(202, {}, b'{"id": "p1", "s": "processing"}')
STILL = Reply(200, {}, b'{"id": "p1", "s": "processing"}')
IN_FLIGHT = Reply(409, {}, b"{}")
SLOW_DOWN = Reply(429, {}, b"{}")
BROKEN = Reply(503, {}, b"oops")
INVALID = Reply(400, {}, b"{}")
MISSING = Reply(404, {}, b"{}")
REFUSED = Reply(None, error="refused")
LOST = Reply(None, error="reset")

Step = Reply | tuple[float, Reply]


class World:
    """A virtual clock, greenlets that live by it, and a service that follows a script.

    A step of the script is a reply, or seconds and a reply; the last one is repeated.
    """

    api = API

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.now = INTENT.due_ns
        self.sent: list[Request] = []
        self.rows: list[Attempt] = []
        self._order = count()
        self._due: list[tuple[int, int, greenlet]] = []
        self._hub = getcurrent()

    def now_ns(self) -> int:
        return self.now

    def sleep_until(self, at_ns: int) -> None:
        heapq.heappush(self._due, (max(at_ns, self.now), next(self._order), getcurrent()))
        self._hub.switch()

    def spawn(self, call: Callable[[], Any]) -> Callable[[], Any]:
        results: list[Any] = []

        def wait() -> Any:
            while not results:
                self.sleep_until(self.now + 1_000_000)
            return results[0]

        started = greenlet(lambda: results.append(call()), parent=self._hub)
        heapq.heappush(self._due, (self.now, next(self._order), started))
        return wait

    def send(self, request: Request, timeout_s: float) -> Reply:
        self.sent.append(request)
        step = self.step(request)
        seconds, reply = step if isinstance(step, tuple) else (0.01, step)
        self.sleep_until(self.now + round(min(seconds, timeout_s) * S))
        return Reply(None, error="timeout") if seconds > timeout_s else reply

    def step(self, request: Request) -> Step:
        """What becomes of a request."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def client(self, seed: int = 1, patience_s: float = 10.0) -> PaymentClient:
        terms = Terms(self.api, round(patience_s * S), 3.0)
        values = {"capture": "automatic"}
        return PaymentClient(INTENT, values, Random(seed), terms, self, self, self.rows.append)

    def live(self, life: Callable[[], Any]) -> Any:
        """Run `life` and all it began to the end; what it returned."""
        wait = self.spawn(life)
        while self._due:
            self.now, _, each = heapq.heappop(self._due)
            each.switch()
        return wait()

    def journey(self, name: str, seed: int = 1, patience_s: float = 10.0) -> list[Attempt]:
        call = journeys.get(name).call
        client = self.client(seed, patience_s)
        self.live(lambda: call(client, Random(seed)))
        return self.rows


class Shop(World):
    """A service with a script for each operation; one that has none always says that it is done."""

    def __init__(self, **scripts: list[Step]) -> None:
        super().__init__(OK)
        self.scripts = scripts

    def step(self, request: Request) -> Step:
        """The next step of the operation's script."""
        script = self.scripts.get(operation_of(request), [OK])
        return script.pop(0) if len(script) > 1 else script[0]

    def without(self, *operations: str) -> Shop:
        """The same, with a system file that leaves these operations out."""
        kept = {name: one for name, one in API.operations.items() if name not in operations}
        self.api = replace(API, operations=kept)
        return self

    def bodies(self, operation: str) -> list[Any]:
        """The bodies of the requests of an operation, in the order in which they were sent."""
        return [json.loads(one.body) for one in self.sent if operation_of(one) == operation]


def operation_of(request: Request) -> str:
    """The operation of the system file that a request is."""
    if request.method == "GET":
        return "find" if "?" in request.path else "read"
    last = request.path.rpartition("/")[2]
    return "create" if last == "p" else last

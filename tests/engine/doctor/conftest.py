"""A small shop that answers as it is told to, and a visit to it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from payresil.core.document import MapNode, parse_document
from payresil.core.protocols import Endpoints, Secrets
from payresil.core.topology import Node, Topology
from payresil.engine.doctor.caller import Caller
from payresil.engine.doctor.payments import Visit
from payresil.engine.doctor.seen import Seen
from payresil.engine.places import Places
from payresil.engine.service_calls import ServiceCalls
from payresil.engine.system_file import load_system

SECRETS = Secrets(
    "api-secret", "admin-secret", "sk", "whsec", "control", ("4242424242424242",), "1"
)

SYSTEM = """\
name: shop
reference_field: order
service: {command: [shop], ready: /ready, metrics: /metrics}
needs: {database: none}
api:
  headers: {Authorization: "Bearer {api_token}"}
  key_header: X-Key
  replay_header: X-Replayed
  instance_header: X-Instance
  final: {paid: succeeded, held: authorized, gone: canceled}
  pending: [open]
  operations:
    create:
      request: POST /orders
      body: {ref: "{intent}", total: "{amount_minor}", capture: "{capture}"}
      payment: id
      state: state
    read: {request: "GET /orders/{payment}", payment: id, state: state}
    find: {request: "GET /orders?ref={intent}", payment: orders.0.id, state: orders.0.state}
    refund: {request: "POST /orders/{payment}/refund", body: {part: "{amount_minor}"}, state: state}
    capture: {request: "POST /orders/{payment}/capture", body: {}, state: state}
    cancel: {request: "POST /orders/{payment}/cancel", body: {}, state: state}
webhook_path: /hooks
settle: {request: GET /open, zero: [orders]}
reconcile: {request: POST /reconcile, remedied: fixed}
signals: {traffic: requests_total, latency: request_seconds, saturation: queue}
logs: {time: at, level: level, event: event, reference: ref}
books_from: {request: GET /export}
books:
  books_payments: |
    select id as payment, ref as intent, case state when 'paid' then 'succeeded' else state end
      as state, total as amount_minor, total as captured_minor, 0 as refunded_minor,
      'eur' as currency from orders
"""


@dataclass
class Shop:
    """Orders in memory. `answers` takes the place of what it would answer by itself."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    forgets_keys: bool = False
    unknown: int = 404  # the status when nothing has a reference
    says: dict[str, str] = field(default_factory=lambda: {"X-Instance": "a/service.1"})
    asked: int = 0
    url: str = ""

    def answer(
        self, method: str, path: str, key: str | None, body: Mapping[str, Any]
    ) -> tuple[int, Any, Mapping[str, str]]:
        self.asked += 1
        parts = [part for part in path.partition("?")[0].split("/") if part]
        name = f"{method} /{'/'.join(part for part in parts if part not in self.orders)}"
        name += "?" if "?" in path else ""
        if name in self.answers:
            status, content = self.answers[name]
            return status, content, self.says
        if name == "POST /orders":
            return self.create(key, body)
        if "?" in path:
            found = [o for o in self.orders.values() if o["ref"] == path.rpartition("=")[2]]
            return (200 if found else self.unknown), {"orders": found}, self.says
        if len(parts) == 3:
            become = {"refund": "paid", "capture": "paid", "cancel": "gone"}[parts[2]]
            self.orders[parts[1]]["state"] = become
            return 200, {"state": "paid"}, self.says
        fixed = {"GET /open": {"orders": 0}, "POST /reconcile": {"fixed": 0},
                 "GET /export": {"orders": list(self.orders.values())},
                 "GET /metrics": METRICS}  # fmt: skip
        if name in fixed:
            return 200, fixed[name], self.says
        return 200, self.orders[parts[1]], self.says

    def create(
        self, key: str | None, body: Mapping[str, Any]
    ) -> tuple[int, Any, Mapping[str, str]]:
        if key in self.keys and not self.forgets_keys:
            return 200, self.orders[self.keys[key]], {**self.says, "X-Replayed": "true"}
        id_ = f"o{len(self.orders)}"
        state = "held" if body["capture"] == "manual" else "paid"
        self.orders[id_] = {"id": id_, "ref": body["ref"], "total": body["total"], "state": state}
        self.keys[str(key)] = id_
        return 201, self.orders[id_], self.says


METRICS = """\
requests_total{status="200"} 1
request_seconds_sum 1
request_seconds_count 1
queue 0
"""


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply({})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.reply(json.loads(text or b"{}"))

        def reply(self, body: Mapping[str, Any]) -> None:
            key = self.headers["X-Key"]
            status, content, headers = made.answer(self.command, self.path, key, body)
            text = content if isinstance(content, str) else json.dumps(content)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def visit_with(shop: Shop, tmp_path: Path) -> Callable[..., Visit]:
    """A visit to the shop, by its system file with some text replaced."""

    def visit(old: str = "", new: str = "", budget: int | None = None) -> Visit:
        assert old in SYSTEM
        text = SYSTEM.replace(old, new, 1) if old else SYSTEM
        file = tmp_path / "shop.yaml"
        file.write_text(text, encoding="utf-8")
        document = parse_document(text, "shop.yaml", [])
        assert isinstance(document, MapNode)
        system = load_system(file)
        caller = Caller(system, endpoints(shop), SECRETS, budget)
        topology = Topology((Node("a", "service", 1),), ())
        return Visit("r7", system, topology, Places(document), caller)

    return visit


def endpoints(shop: Shop) -> Endpoints:
    return Endpoints(shop.url, None, shop.url, None, {"a/service.1": f"{shop.url}/metrics"})


def calls(shop: Shop) -> ServiceCalls:
    return ServiceCalls(shop.url, SECRETS)


def told(found: Iterator[Seen], health: str = "wrong") -> dict[str, str]:
    """Mapping → words and line, of those of this health."""
    return {seen.mapping: f"{seen.words} [{seen.where}]" for seen in found if seen.health == health}

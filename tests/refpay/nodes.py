"""The stub PSP and the service as processes, and a customer of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from payresil.core.mapping import Request

from .postgres_server import until


class Node:
    """A server node of the project as a process, with its log and its ready file."""

    def __init__(self, folder: Path, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        self.log_file = folder / "log.jsonl"
        self._ready_file = folder / "ready.json"
        folder.mkdir(parents=True)
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again on the same port; returns once it serves."""
        self._ready_file.unlink(missing_ok=True)
        root = Path(__file__).parents[2]
        paths = [str(root / "src"), str(root)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self._command, "--ready-file", str(self._ready_file),
             *(["--port", str(self.ports["port"])] if self.ports else [])],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths),
                 **self._environment},
            stderr=self.log_file.open("ab"),
        )  # fmt: skip
        process = self.process
        until(lambda: self._ready_file.exists() or process.poll() is not None, self.log)
        assert process.poll() is None, self.log()
        self.ports = json.loads(self._ready_file.read_text())

    def log(self) -> str:
        return self.log_file.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log().splitlines())
        return [line for line in lines if line["event"] == name]

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5)


class Psp:
    """The stub PSP and its control plane."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(folder, ["stub_psp", "--data", str(folder / "data"), "--seed", "7",
                                  "--epoch-header", "X-Epoch"],
                         {"STUB_PSP_CONTROL_TOKEN": "control-secret"})  # fmt: skip
        self._session = requests.Session()
        self._session.headers["Authorization"] = "Bearer control-secret"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.ports['port']}"

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        address = f"http://127.0.0.1:{self.node.ports['control_port']}/_control/{path}"
        response = self._session.request(method, address, json=body, timeout=5)
        response.raise_for_status()
        return response

    def rule(self, point: str, how: str, **rule: Any) -> str:
        """Add a fault; ``action`` holds what belongs to ``how``."""
        action = {"how": how, **rule.pop("action", {})}
        match = {"endpoint": "payment_intents.create", **rule.pop("match", {})}
        made = self.control("POST", "rules", {"point": point, "action": action, "match": match,
                                              **rule})  # fmt: skip
        return str(made.json()["id"])

    def heal(self) -> None:
        self.control("DELETE", "rules")

    def table(self, name: str) -> list[dict[str, Any]]:
        lines = self.control("GET", f"truth/{name}").text.splitlines()
        return [json.loads(line) for line in lines]

    def charges(self, reference: str) -> list[dict[str, Any]]:
        """Charges that took money."""
        return [row for row in self.table("psp_charges")
                if row["reference"] == reference and row["status"] == "succeeded"]  # fmt: skip


class Refpay:
    """An instance of the reference service, and a customer of it."""

    def __init__(self, folder: Path, psp_url: str, database_url: str, **settings: str) -> None:
        self.environment = {
            "DATABASE_URL": database_url, "PSP_URL": psp_url, "PSP_API_KEY": "sk_test_canarypsp",
            "WEBHOOK_SECRET": "whsec_canary", "API_TOKEN": "api-canary",
            "ADMIN_TOKEN": "admin-canary", "INSTANCE": "a/service.1", "REGION": "a",
            "PSP_TIMEOUT_MS": "400", "PSP_DEADLINE_MS": "900", "RELAY_EVERY_MS": "50",
            "RESOLVE_EVERY_MS": "100", "BREAKER_OPEN_MS": "200", **settings,
        }  # fmt: skip
        self.node = Node(folder, ["payresil.refpay"], self.environment)
        self._session = requests.Session()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.ports['port']}"

    def call(self, method: str, path: str, body: object = None, key: str | None = None,
             token: str = "api-canary", **headers: str) -> requests.Response:  # fmt: skip
        sent = {"Authorization": f"Bearer {token}", **headers}
        if key is not None:
            sent["Idempotency-Key"] = key
        return self._session.request(method, self.url + path, json=body, headers=sent, timeout=10)

    def send(self, request: Request) -> requests.Response:
        """Send a request as a system file describes it."""
        return self._session.request(
            request.method, self.url + request.path, data=request.body or None,
            headers=request.headers, timeout=10,
        )  # fmt: skip

    def pay(self, name: str, key: str | None = None, **body: object) -> requests.Response:
        paid = {"reference": name, "amount_minor": 1250, "currency": "eur", **body}
        if "card" not in paid and "payment_method" not in paid:
            paid["card"] = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040,
                            "cvc": "737"}  # fmt: skip
        return self.call("POST", "/payments", paid, key or f"key-{name}")

    def deliver(self, event: dict[str, Any], secret: str = "whsec_canary",
                age_s: int = 0) -> requests.Response:  # fmt: skip
        """Deliver an event as the PSP would, signed."""
        body = json.dumps(event)
        moment = int(time.time()) - age_s
        mac = hmac.new(secret.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={moment},v1={mac}"}
        return self._session.post(self.url + "/webhooks/psp", body, headers=headers, timeout=10)

    def payment(self, id_: str) -> dict[str, Any]:
        answer = self.call("GET", f"/payments/{id_}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def reconcile(self) -> dict[str, Any]:
        answer = self.call("POST", "/admin/reconcile", token="admin-canary")
        assert answer.status_code == 200, self.node.log()
        return dict(answer.json())

    def in_flight(self) -> dict[str, int]:
        return dict(self.call("GET", "/admin/in-flight", token="admin-canary").json())

    def settled(self) -> None:
        """Wait until nothing is unknown or unsent."""
        until(
            lambda: not any(self.in_flight().values()),
            lambda: f"{self.in_flight()} {self.node.log()}",
        )

"""The stub PSP and the sample services as processes, on ports of their own choosing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CONTROL_TOKEN = "control-of-the-examples"
WEBHOOK_SECRET = "whsec_of_the_examples"
ADMIN_TOKEN = "admin-of-the-examples"
API_TOKEN = "api-of-the-examples"

_SERVING = re.compile(r"serving on http://127\.0\.0\.1:(\d+)")


def until(
    condition: Callable[[], object], explain: Callable[[], object] = str, seconds: float = 20
) -> None:
    """Wait for a condition; ``explain`` says what there was instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.01)


def session(token: str | None = None) -> requests.Session:
    """A client that no proxy of the caller's environment stands in the way of."""
    made = requests.Session()
    made.trust_env = False
    if token is not None:
        made.headers["Authorization"] = f"Bearer {token}"
    return made


def node() -> str:
    """Where Node is."""
    found = shutil.which("node")
    assert found is not None, "these tests need Node 20 or newer: put node on PATH"
    return found


class Psp:
    """``python -m stub_psp``, and what its control plane can tell."""

    def __init__(self, folder: Path, reference_field: str) -> None:
        folder.mkdir(parents=True)
        ready = folder / "ready.json"
        self._log = folder / "psp.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stub_psp", "--memory", "--ready-file", str(ready),
                 "--reference-field", reference_field, "--webhook-delays", "0.05,0.1"],
                cwd=ROOT,
                env={**os.environ, "STUB_PSP_CONTROL_TOKEN": CONTROL_TOKEN,
                     "PYTHONPATH": str(ROOT)},
                stderr=log,
            )  # fmt: skip
        until(lambda: ready.exists() or self.process.poll() is not None, self._log.read_text)
        assert self.process.poll() is None, self._log.read_text()
        ports = json.loads(ready.read_text())
        self.url = f"http://127.0.0.1:{ports['port']}"
        self.control_url = f"http://127.0.0.1:{ports['control_port']}"
        self._session = session(CONTROL_TOKEN)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        url = f"{self.control_url}/_control/{path}"
        answer = self._session.request(method, url, json=body, timeout=10)
        assert answer.ok, answer.text
        return answer

    def rule(self, point: str, how: str, endpoint: str = "payment_intents.create",
             count: int | None = None, **action: Any) -> None:  # fmt: skip
        """Fail requests at a point of their life; `count` of them, or all."""
        match = {"endpoint": endpoint}
        counted = {} if count is None else {"count": count}
        rule = {"point": point, "action": {"how": how, **action}, "match": match, **counted}
        self.control("POST", "rules", rule)

    def heal(self) -> None:
        self.control("DELETE", "rules")

    def table(self, name: str) -> list[dict[str, Any]]:
        lines = self.control("GET", f"truth/{name}").text.splitlines()
        return [json.loads(line) for line in lines]

    def charges(self, reference: str) -> list[dict[str, Any]]:
        """Charges that took money, in the order in which they did."""
        return [row for row in self.table("psp_charges")
                if row["reference"] == reference and row["status"] == "succeeded"]  # fmt: skip

    def keys(self, reference: str) -> list[str]:
        """The idempotency keys of all payments that were asked for, in order."""
        return [row["key"] for row in self.table("psp_attempts")
                if row["reference"] == reference
                and row["endpoint"] == "payment_intents.create"]  # fmt: skip

    def account(self, api_key: str) -> str:
        """The account that a key belongs to; every key has one of its own."""
        account = session(api_key).get(f"{self.url}/v1/account", timeout=10).json()
        return str(account["id"])

    def in_flight(self, n: int) -> bool:
        """Whether so many requests are in progress."""
        return bool(self.control("GET", "pending").json()["in_flight"] == n)

    def delivered(self, reference: str) -> bool:
        """Whether every event of a payment has arrived."""
        rows = [row for row in self.table("psp_events") if row["reference"] == reference]
        arrived = {row["event"] for row in rows if row["delivered"]}
        return bool(rows) and arrived == {row["event"] for row in rows}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Service:
    """A sample service. It says on its output where it serves."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        """`folder` is the service's own; `environment` is all it sees beside PATH."""
        self._command = command
        self.folder = folder
        self._environment = environment
        self._port = 0
        self._output = Path(environment["DATA"]) / "output.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again on the same port; returns once it serves."""
        self._output.write_bytes(b"")
        environment = {"PATH": os.environ["PATH"], "PORT": str(self._port), **self._environment}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command, cwd=self.folder, env=environment, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        process = self.process
        until(lambda: self._served() or process.poll() is not None, self.output)
        assert process.poll() is None, self.output()
        self._port = self._served()

    def _served(self) -> int:
        found = _SERVING.search(self.output())
        return int(found[1]) if found else 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def output(self) -> str:
        return self._output.read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(10)

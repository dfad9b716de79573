"""A desk (the whole request path in this process, without HTTP) and a real stub in its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe

from stub_psp.clock import Clock
from stub_psp.dialects.stripe import StripeDialect
from stub_psp.exchange import Answer, InvalidError, RejectedError, Request
from stub_psp.faults import Faults
from stub_psp.identifiers import mint
from stub_psp.lifecycle import Lifecycle, Reply
from stub_psp.store import Store

ROOT = Path(__file__).parents[2]
TOKEN = "control-token-of-the-tests"
JsonObject = dict[str, Any]


class Result:
    """An answer as a client would see it; ``how`` is what became of the connection."""

    def __init__(self, reply: Reply | None, answer: Answer | None, headers: dict[str, str]) -> None:
        self.how = reply.how if reply else "send"
        self.status = answer.status if answer else None
        self.body = answer.body if answer else b""
        self.headers = headers

    @property
    def json(self) -> JsonObject:
        decoded: JsonObject = json.loads(self.body)
        return decoded

    @property
    def error(self) -> JsonObject:
        error: JsonObject = self.json["error"]
        return error


class Waits:
    """Time on a connection, as events that a test sets."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()

    async def pause(self, ms: int) -> None:
        self.held.set()
        await self.go_on.wait()

    async def delay(self, ms: int) -> None:
        await self.pause(ms)


class Desk:
    """Requests in, results out: dialect, lifecycle, engine and store; a clock set by hand."""

    def __init__(self, folder: Path | None = None, seed: int = 0) -> None:
        self.store = Store(folder)
        self.dialect = StripeDialect()
        self.faults = Faults(self.store, seed, self.dialect.endpoints)
        self.wall_s = 1_700_000_000.0
        self.clock = Clock(wall=lambda: self.wall_s)
        self.announced: list[str] = []
        self.lifecycle = Lifecycle(
            self.store,
            self.dialect,
            self.faults,
            self.clock,
            lambda execution: self.announced.extend(execution.announced),
        )

    def __call__(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        key: str | None = None,
        api_key: str = "sk_test_desk",
    ) -> Result:
        return asyncio.run(self.send(method, path, params, key, api_key))

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        key: str | None = None,
        api_key: str = "sk_test_desk",
        waits: Waits | None = None,
    ) -> Result:
        encoded = urlencode(dict(params or {}))
        headers = {b"authorization": f"Bearer {api_key}".encode()}
        if key is not None:
            headers[b"idempotency-key"] = key.encode()
        get = method in ("GET", "DELETE")
        request = Request(
            method,
            f"/v1/{path}",
            encoded if get else "",
            headers,
            b"" if get else encoded.encode(),
        )
        try:
            account = self.dialect.authenticate(request)
        except RejectedError as rejected:
            return Result(None, rejected.answer, {})
        request_id = mint("req")
        try:
            call = self.dialect.read(request, account)
        except InvalidError as refused:
            return self._result(self.lifecycle.invalid(refused, account, request_id, 1))
        reply = await self.lifecycle.serve(call, request_id, 1, waits or Waits())
        return self._result(reply)

    def _result(self, reply: Reply) -> Result:
        headers = self.dialect.headers(reply.marks) if reply.marks else []
        shown = {name.decode(): value.decode() for name, value in headers}
        return Result(reply, reply.answer, shown)

    def pay(self, key: str | None = None, reference: str = "r-1", **more: object) -> Result:
        """Create and confirm, by default 10.00 USD on a good card."""
        return self("POST", "payment_intents", payment(reference, **more), key)

    def count(self, table: str) -> int:
        row = self.store.database.row(f"SELECT count(*) FROM {table}")
        assert row is not None
        return int(row[0])


def payment(reference: str = "r-1", **more: object) -> dict[str, object]:
    return {
        "amount": 1000,
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "metadata[merchant_reference]": reference,
        **more,
    }


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.store.close()


@pytest.fixture
def new_waits() -> Callable[[], Waits]:
    return Waits


@pytest.fixture
def new_desk() -> Iterator[Callable[..., Desk]]:
    """Makes desks, for tests that need more than one or a folder; ``close`` is theirs to call."""
    with contextlib.ExitStack() as stack:

        def make(folder: Path | None = None, seed: int = 0) -> Desk:
            made = Desk(folder, seed)
            stack.callback(made.store.close)
            return made

        yield make


class StubProcess:
    """``python -m stub_psp`` on free ports."""

    def __init__(self, folder: Path, *options: str, data: Path | None = None) -> None:
        ready = folder / f"ready-{time.monotonic_ns()}.json"
        self.log = folder / f"{ready.stem}.log"
        where = ["--data", str(data)] if data else ["--memory"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stub_psp", *where, "--ready-file", str(ready), *options],
                cwd=ROOT,
                env={**os.environ, "STUB_PSP_CONTROL_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)},
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the stub did not get ready"
            time.sleep(0.01)
        ports = json.loads(ready.read_text())
        self.port: int = ports["port"]
        self.control_port: int = ports["control_port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, api_key: str = "sk_test_tests") -> stripe.StripeClient:
        return stripe.StripeClient(api_key, base_addresses={"api": self.url}, max_network_retries=0)

    def control(
        self, method: str, path: str, body: object = None, token: str | None = TOKEN
    ) -> tuple[int, Any]:
        """Status and decoded answer; ``path`` is what comes after ``/_control/``."""
        status, text = self.control_text(method, f"/_control/{path}", body, token)
        return status, json.loads(text)

    def control_text(
        self, method: str, path: str, body: object = None, token: str | None = TOKEN
    ) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def rule(self, **rule: object) -> str:
        status, made = self.control("POST", "rules", rule)
        assert status == 201, made
        id_: str = made["id"]
        return id_

    def wait_in_flight(self, n: int) -> None:
        """Until so many requests are in progress."""
        deadline = time.monotonic() + 20
        while self.control("GET", "pending")[1]["in_flight"] != n:
            assert time.monotonic() < deadline, f"never {n} in flight"

    def wait_delivered(self) -> None:
        """Until no webhook is still to be delivered."""
        deadline = time.monotonic() + 20
        while self.control("GET", "pending")[1]["webhooks"]:
            assert time.monotonic() < deadline, "webhooks are still pending"

    def truth(self, table: str) -> list[JsonObject]:
        status, text = self.control_text("GET", f"/_control/truth/{table}")
        assert status == 200, text
        return [json.loads(line) for line in text.splitlines()]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def start_stub(tmp_path: Path) -> Iterator[Callable[..., StubProcess]]:
    """Starts stubs, and stops them after the test."""
    with contextlib.ExitStack() as stack:

        def start(*options: str, data: Path | None = None) -> StubProcess:
            stub = StubProcess(tmp_path, *options, data=data)
            stack.callback(stub.stop)
            return stub

        yield start


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubProcess]:
    """One stub in memory for all tests of a module: they use references of their own."""
    started = StubProcess(tmp_path_factory.mktemp("stub"))
    yield started
    started.stop()

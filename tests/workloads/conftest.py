"""A real service in a process of its own, and traffic processes that talk to it."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from payresil.core.scenario import Workload
from payresil.core.system import Api, Operation
from payresil.core.traffic import TrafficSpec
from payresil.core.values import Duration, Rate

HERE = Path(__file__).parent
CARD = "4000001234567899"
TOKEN = "token-of-this-run"


class ShopProcess:
    """The service, its control, and its output as a stream of events."""

    def __init__(self, authority: trustme.CA | None, folder: Path) -> None:
        argv = [sys.executable, str(HERE / "shop.py")]
        self.ca_file: str | None = None
        if authority is not None:
            self.ca_file = str(folder / "ca.pem")
            authority.cert_pem.write_to_path(self.ca_file)
            certificate = authority.issue_cert("127.0.0.1")
            certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "shop.pem"))
            argv += [str(folder / "shop.pem")] * 2
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.port = int(self.line())
        scheme = "http" if authority is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the shop ended"
        return line

    def wait_for(self, requests: int = 0, held: int = 0) -> None:
        """Until it has seen, or holds back, so many payment requests."""
        while True:
            seen, holding = map(int, self.line().split())
            if seen >= requests and holding >= held:
                return

    def mode(self, mode: str) -> None:
        self._control("POST", {"mode": mode})

    def state(self) -> dict[str, Any]:
        """``seen``: every payment request; ``connections``: those that carried payments."""
        return self._control("GET", None)

    def _control(self, method: str, content: Any) -> dict[str, Any]:
        connection: http.client.HTTPConnection
        if self.ca_file is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        else:
            context = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=10, context=context
            )
        body = b"" if content is None else json.dumps(content).encode()
        connection.request(method, "/control", body)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def open_shop(tmp_path: Path, authority: trustme.CA) -> Iterator[Callable[..., ShopProcess]]:
    shops: list[ShopProcess] = []

    def start(*, tls: bool = False) -> ShopProcess:
        shops.append(ShopProcess(authority if tls else None, tmp_path))
        return shops[-1]

    yield start
    for shop in shops:
        shop.process.kill()
        shop.process.communicate()


@pytest.fixture
def shop(open_shop: Callable[..., ShopProcess]) -> ShopProcess:
    return open_shop()


@pytest.fixture(scope="session")
def api() -> Api:
    return Api(
        headers={"Authorization": "Bearer {api_token}"},
        replay_header="Idempotent-Replayed",
        final={"succeeded": "succeeded", "declined": "declined"},
        pending=("processing",),
        operations={
            "create": Operation(
                "POST /payments",
                {
                    "reference": "{intent}",
                    "amount_minor": "{amount_minor}",
                    "currency": "{currency}",
                    "card": {"number": "{card_number}", "cvc": "{card_cvc}"},
                },
                payment="id",
                state="state",
            ),
            "read": Operation("GET /payments/{payment}", payment="id", state="state"),
            "find": Operation("GET /payments?reference={intent}", payment="id", state="state"),
            "refund": Operation(
                "POST /payments/{payment}/refunds",
                {"reference": "{intent}", "amount_minor": "{amount_minor}"},
                state="state",
            ),
        },
    )


@pytest.fixture
def make_spec(tmp_path: Path, api: Api) -> Callable[..., TrafficSpec]:
    """A specification whose zero is when it is made; keywords change the workload or itself."""

    def make(base_url: str, **changes: Any) -> TrafficSpec:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        wanted: dict[str, Any] = {
            "rate": Rate(100.0),
            "duration": Duration(1.0),
            "journeys": {"checkout": 1},
            "warm_up": Duration(0.0),
            "timeout": Duration(5.0),
        }
        wanted.update({name: changes.pop(name) for name in wanted.keys() & changes.keys()})
        for name in ("arrivals", "patience"):
            if name in changes:
                wanted[name] = changes.pop(name)
        return TrafficSpec(
            **{
                "run": "r7",
                "zero_mono_ns": time.monotonic_ns(),
                "seed": 7,
                "workload": Workload(**wanted),
                "api": api,
                "base_url": base_url,
                "folder": str(folder),
                "api_token": TOKEN,
                "card_numbers": (CARD,),
                "card_cvc": "987",
                "block": 20,
                "probe_rate": Rate(10.0),
                **changes,
            }
        )

    return make


class TrafficProcess:
    """A generator or a prober that was given its specification."""

    def __init__(self, module: str, spec: TrafficSpec | bytes, folder: Path) -> None:
        pipe = folder / f"{module}.orders"
        os.mkfifo(pipe)
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"payresil.workloads.{module}", "--spec", str(pipe)],
            stderr=subprocess.PIPE,
            text=True,
        )
        pipe.write_bytes(spec if isinstance(spec, bytes) else spec.encode())

    def finish(self) -> tuple[int, list[dict[str, Any]]]:
        """Exit status and log lines, once it has ended."""
        _, text = self.process.communicate(timeout=60)
        return self.process.returncode, [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., TrafficProcess]]:
    processes: list[TrafficProcess] = []

    def run(module: str, spec: TrafficSpec | bytes) -> TrafficProcess:
        processes.append(TrafficProcess(module, spec, tmp_path))
        return processes[-1]

    yield run
    for each in processes:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()

"""The wallet runs already: payresil joins it, and leaves it in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .processes import ADMIN_TOKEN, API_TOKEN, CONTROL_TOKEN, EXAMPLES, ROOT, Psp, session, until
from .wallet import Wallet

pytestmark = pytest.mark.node

#: Money checks only: objectives depend on how busy the machine is that runs the tests.
SCENARIO = f"""
name: joined
claim: A wallet that runs already keeps its books right when its PSP's answers are lost.
system: {EXAMPLES / "node-wallet" / "system.yaml"}
seed: 3
workload: {{rate: 20/s, duration: 8s, journeys: {{checkout: 1, impatient: 1}}, warm_up: 1s}}
faults:
  - {{at: 1500ms, duration: 1500ms, latency: {{link: customers->service, delay: 200ms}}}}
  - {{at: 5500ms, duration: 1500ms, psp_lost_answers: {{share: 50%}}}}
checks: [idempotency, durability, reconciliation]
"""
THEIRS = {"name": "theirs", "type": "latency", "stream": "downstream", "attributes": {"latency": 1}}
TOKENS = {"WALLET_TOKEN": API_TOKEN, "WALLET_ADMIN": ADMIN_TOKEN, "PSP_TOKEN": CONTROL_TOKEN}


class Toxiproxy:
    """Somebody's server, with a proxy in front of the wallet that has a toxic already."""

    def __init__(self, folder: Path, upstream: str) -> None:
        ready = folder / "toxiproxy.json"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "payresil.toxiproxy", "--port", "0", "--ready-file", str(ready)],
            stderr=subprocess.DEVNULL,
        )
        until(ready.exists)
        self.url = f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
        self._session = session()
        proxy = {"name": "front", "listen": "127.0.0.1:0", "upstream": upstream}
        self.listen = self._post("proxies", proxy)["listen"]
        self._post("proxies/front/toxics", THEIRS)

    def _post(self, path: str, body: object) -> dict[str, Any]:
        answer = self._session.post(f"{self.url}/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return dict(answer.json())

    def front(self) -> dict[str, Any]:
        return dict(self._session.get(f"{self.url}/proxies/front", timeout=10).json())


@dataclass
class Joined:
    """A wallet that runs, and the file that says where."""

    wallet: Wallet
    toxiproxy: Toxiproxy
    folder: Path

    def command(self, *words: str) -> list[str]:
        at = ["--at", str(self.folder / "at.yaml")]
        return [sys.executable, "-m", "payresil.cli", *words, *at]

    def payresil(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=120, check=False,
            cwd=ROOT, env={**os.environ, **TOKENS},
        )  # fmt: skip

    def run(self) -> subprocess.CompletedProcess[str]:
        scenario = str(self.folder / "joined.yaml")
        out = str(self.folder / "reports")
        return self.payresil("run", scenario, "--backend", "attach", "--out", out)

    @property
    def latest(self) -> Path:
        return self.folder / "reports" / "joined" / "latest"


@pytest.fixture
def join(
    start_wallet: Callable[..., Wallet], wallet_psp: Psp, tmp_path: Path
) -> Iterator[Callable[[int], Joined]]:
    servers: list[Toxiproxy] = []

    def start(budget: int) -> Joined:
        wallet = start_wallet(FIXED="1")
        toxiproxy = Toxiproxy(tmp_path, wallet.url.removeprefix("http://"))
        servers.append(toxiproxy)
        (tmp_path / "joined.yaml").write_text(SCENARIO)
        (tmp_path / "at.yaml").write_text(f"""
customers: http://{toxiproxy.listen}
admin: {wallet.url}
budget: {{requests: {budget}}}
toxiproxy: {{url: "{toxiproxy.url}", links: {{customers->service: front}}}}
psp: {{control: "{wallet_psp.control_url}"}}
secrets: {{api_token: WALLET_TOKEN, admin_token: WALLET_ADMIN, control_token: PSP_TOKEN}}
""")
        return Joined(wallet, toxiproxy, tmp_path)

    yield start
    for server in servers:
        server.process.terminate()
        server.process.wait(10)


def test_a_run_on_a_system_that_runs_already(join: Callable[[int], Joined]) -> None:
    joined = join(5000)
    joined.wallet.polled(joined.wallet.transfer("before"))  # of somebody else, and none of ours
    done = joined.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "front has toxics of others, which stay: theirs" in " ".join(done.stdout.split())
    front = joined.toxiproxy.front()
    assert (front["enabled"], [each["name"] for each in front["toxics"]]) == (True, ["theirs"])
    created = json.loads((joined.latest / "created.json").read_text())
    booked = {each["id"]: each["reference"] for each in joined.wallet.export()}
    assert {row["payment"]: row["intent"] for row in created} == {
        id_: reference for id_, reference in booked.items() if reference != "before"
    }
    assert f"{len(created)} payments stay in the system" in done.stdout
    files = [path for path in joined.latest.rglob("*") if path.is_file()]
    assert not [path for path in files for token in TOKENS.values()
                if token.encode() in path.read_bytes()]  # fmt: skip


def test_the_budget_is_kept_and_the_verdict_says_so(join: Callable[[int], Joined]) -> None:
    joined = join(100)
    done = joined.run()
    words = " ".join(done.stdout.split())
    assert "the budget of 100 requests was spent after" in words
    assert "the budget leaves 80 requests for customers: they stop early" in words
    sent = [line for line in done.stdout.splitlines() if " attempts of " in line]
    assert int(sent[0].split("·")[2].split()[0]) <= 100, sent


def test_the_doctor_looks_at_a_system_that_runs_already(join: Callable[[int], Joined]) -> None:
    joined = join(100)
    done = joined.payresil("doctor", str(EXAMPLES / "node-wallet" / "system.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node-wallet is as its file says" in done.stdout
    assert "left in the system: tr_" in done.stdout


def test_a_harness_that_is_killed_leaves_no_fault(join: Callable[[int], Joined]) -> None:
    joined = join(5000)
    scenario = joined.folder / "joined.yaml"
    scenario.write_text(SCENARIO.replace("duration: 2s", "duration: 5s"))
    harness = subprocess.Popen(
        joined.command("run", str(scenario), "--backend", "attach",
                       "--out", str(joined.folder / "reports")),
        cwd=ROOT, env={**os.environ, **TOKENS},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: len(joined.toxiproxy.front()["toxics"]) > 1, joined.toxiproxy.front, 60)
    harness.kill()
    harness.wait()
    until(lambda: len(joined.toxiproxy.front()["toxics"]) == 1, joined.toxiproxy.front)

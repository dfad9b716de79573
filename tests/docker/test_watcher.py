"""The watcher and the wiring, against a real Toxiproxy and PSP, and a database that is away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import watcher
import wiring
from prometheus_client.core import GaugeMetricFamily

TOKEN = "token-of-the-tests"
PATIENCE_S = 20.0


def _ports(file: Path, process: subprocess.Popen[bytes]) -> dict[str, int]:
    deadline_s = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline_s, "it does not serve"
        time.sleep(0.01)
    ports: dict[str, int] = json.loads(file.read_text())
    return ports


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, int]]]:
    """Start a server of payresil's own; its ports."""
    processes = []

    def started(module: str, *options: str) -> dict[str, int]:
        file = tmp_path_factory.mktemp("ready") / "ready.json"
        argv = [sys.executable, "-P", "-m", module, "--port", "0", "--ready-file", str(file)]
        environment = {**os.environ, "STUB_PSP_CONTROL_TOKEN": TOKEN}
        process = subprocess.Popen([*argv, *options], env=environment, stderr=subprocess.DEVNULL)
        processes.append(process)
        return _ports(file, process)

    yield started
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def toxiproxy(start: Callable[..., dict[str, int]]) -> str:
    return f"http://127.0.0.1:{start('payresil.toxiproxy')['port']}"


@pytest.fixture(scope="module")
def psp(start: Callable[..., dict[str, int]]) -> tuple[str, str]:
    """The API and the control plane."""
    ports = start("stub_psp", "--memory")
    return f"http://127.0.0.1:{ports['port']}", f"http://127.0.0.1:{ports['control_port']}"


LINK = {"name": "a--b", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": True}


def samples(gauges: Iterator[GaugeMetricFamily]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for gauge in gauges
        for sample in gauge.samples
    }


def test_links_are_opened_once(toxiproxy: str) -> None:
    assert wiring.open_links(toxiproxy, [LINK]) == ["a--b"]
    assert wiring.open_links(toxiproxy, [LINK]) == []


def test_a_link_that_leads_elsewhere_is_opened_anew(toxiproxy: str) -> None:
    wiring.open_links(toxiproxy, [LINK])
    elsewhere = {**LINK, "upstream": "127.0.0.1:10"}
    assert wiring.open_links(toxiproxy, [elsewhere]) == ["a--b"]


def test_a_link_that_cannot_be_opened_is_said(toxiproxy: str) -> None:
    taken = {**LINK, "name": "taken", "listen": toxiproxy.removeprefix("http://")}
    with pytest.raises(wiring.WiringError, match="address already in use"):
        wiring.open_links(toxiproxy, [taken])


def test_webhooks_are_asked_for_once(psp: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PSP_API_KEY", "sk_test_a"), ("WEBHOOK_SECRET", "whsec_12345678"),
                        ("STUB_PSP_CONTROL_TOKEN", TOKEN)):  # fmt: skip
        monkeypatch.setenv(name, value)
    wanted = (*psp, "https://toxiproxy:20041/webhooks/psp", ["refund.created"])
    assert wiring.send_webhooks(*wanted)
    assert not wiring.send_webhooks(*wanted)


def test_the_wrong_token_is_refused_in_words(
    psp: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WEBHOOK_SECRET", "STUB_PSP_CONTROL_TOKEN"):
        monkeypatch.setenv(name, "somebody else's")
    monkeypatch.setenv("PSP_API_KEY", "sk_test_b")
    with pytest.raises(wiring.WiringError, match="401"):
        wiring.send_webhooks(*psp, "https://toxiproxy:20041/webhooks/psp", ["refund.created"])


def test_faults_are_seen_on_links_while_they_last(toxiproxy: str) -> None:
    wiring.open_links(toxiproxy, [LINK])
    assert samples(watcher.link_faults(toxiproxy)) == {}
    toxic = {"type": "latency", "stream": "downstream", "attributes": {"latency": 100}}
    wiring.ask(f"{toxiproxy}/proxies/a--b/toxics", body=toxic)
    wiring.ask(f"{toxiproxy}/proxies/a--b", body={"enabled": False})
    assert samples(watcher.link_faults(toxiproxy)) == {
        ("payresil_fault_active", "a--b", "refused"): 1.0,
        ("payresil_fault_active", "a--b", "latency_downstream"): 1.0,
    }
    wiring.ask(f"{toxiproxy}/reset", body={})
    assert samples(watcher.link_faults(toxiproxy)) == {}


def test_faults_are_seen_at_the_psp(psp: tuple[str, str]) -> None:
    _, control = psp
    action = {"how": "delay", "delay_ms": 1}
    rule = {"id": "slow", "point": "before_commit", "action": action}
    wiring.ask(f"{control}/_control/rules", TOKEN, rule)
    assert samples(watcher.psp_faults(control, TOKEN)) == {
        ("payresil_fault_active", "psp", "slow"): 1.0
    }


def test_a_source_that_is_away_hides_no_other(toxiproxy: str) -> None:
    question = watcher.Question("payresil_payments", "…", "select 1")
    nobody = "postgresql://auditor:secret-word@127.0.0.1:1/payments"
    seen = samples(
        watcher.Watcher(
            {
                "books": lambda: watcher.books(nobody, [question]),
                "links": lambda: watcher.link_faults(toxiproxy),
            }
        ).collect()
    )
    assert seen["payresil_watched", "books"] == 0.0
    assert seen["payresil_watched", "links"] == 1.0


def test_faults_of_two_sources_are_one_metric() -> None:
    def fault(target: str) -> Iterator[GaugeMetricFamily]:
        gauge = GaugeMetricFamily("payresil_fault_active", "…", labels=["target"])
        gauge.add_metric([target], 1)
        yield gauge

    sources = {"links": lambda: fault("a--b"), "psp": lambda: fault("psp")}
    families = list(watcher.Watcher(sources).collect())
    assert [family.name for family in families] == ["payresil_watched", "payresil_fault_active"]
    assert samples(iter(families[1:])) == {
        ("payresil_fault_active", "a--b"): 1.0,
        ("payresil_fault_active", "psp"): 1.0,
    }


@pytest.mark.parametrize("text", ["- a list", "payments: 7", "payments: {sqk: select 1}", "a: ["])
def test_questions_that_cannot_be_read_are_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "books.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"expected name: \{help, sql, labels\}"):
        watcher.read_questions(file)


def test_the_stacks_questions_can_be_read() -> None:
    file = Path(__file__).parents[2] / "containers" / "stack" / "books.yaml"
    assert {question.name for question in watcher.read_questions(file)} >= {"payresil_breaks"}

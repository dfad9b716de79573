"""Whole scenarios in containers, through the command line: real runs, about a minute each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from payresil.core.run import Run

from .conftest import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.alone, pytest.mark.timeout(600)]

#: The partition is as long as the service's circuit needs to open and the alert's rule asks for.
TOLD = """\
name: told
claim: Operators are told that the PSP is out of reach, and that it is back.
system: refpay
seed: 7
workload: {rate: 15/s, duration: 32s, journeys: {checkout: 8, impatient: 2}}
faults:
  - {at: 4s, duration: 14s, partition: {link: "service->psp"}}
checks:
  - idempotency
  - durability
  - reconciliation: {within: 20s}
  - alerting: {alert: PspCircuitOpen, within: 14s, resolves_within: 12s}
  - promql: {query: max(refpay_breaker_state), at_most: 0, phase: steady}
  - promql: {query: 'count(up == 1)', at_least: 5, grace: 3s}
"""
SHOP = "payresil-flask-shop:test"
SOLD = """\
name: sold
claim: On a bad day every order is paid once, and in the books of the shop.
system: system.yaml
seed: 7
workload: {rate: 15/s, duration: 10s, journeys: {checkout: 6, impatient: 2, refund: 2}}
faults:
  - {at: 3s, duration: 4s, psp_lost_answers: {share: 70%}}
checks:
  - idempotency
  - durability
  - reconciliation: {within: 20s}
  - refunds
"""


@pytest.fixture
def images(image: str, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's own images play every part."""
    run("containers/prometheus-image.sh")
    for part in ("POSTGRES", "CADDY", "TOXIPROXY"):
        monkeypatch.setenv(f"PAYRESIL_{part}_IMAGE", image)
    monkeypatch.setenv("PAYRESIL_PROMETHEUS_IMAGE", "payresil-prometheus:local")


@pytest.fixture
def shop(image: str, tmp_path: Path) -> Iterator[Path]:
    """The sample shop as an image of its own, and its system file."""
    engine = docker.from_env()
    folder = ROOT / "examples" / "flask-shop"
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM {image}\nENTRYPOINT []\nCOPY *.py schema.sql /shop/\n")
    engine.images.build(path=str(folder), dockerfile=str(dockerfile), tag=SHOP, rm=True)
    text = (folder / "system.yaml").read_text()
    begun, _, rest = text.partition("  folder:")
    _, _, rest = rest.partition("app.py]\n")
    start = f'  image: {SHOP}\n  port: 5000\n  command: ["{{python}}", /shop/app.py]\n'
    (tmp_path / "system.yaml").write_text(begun + start + rest)
    yield tmp_path
    engine.images.remove(SHOP)


def ran(folder: Path, text: str) -> tuple[dict[str, Any], Run]:
    """A scenario passes and leaves nothing but its run folder; its verdict and its tables."""
    file = folder / "scenario.yaml"
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "payresil.cli", "run", str(file), "--backend", "docker",
         "--out", str(folder / "runs")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (latest,) = (folder / "runs").glob("*/latest")
    verdict: dict[str, Any] = json.loads((latest / "verdict.json").read_text())
    label = {"label": f"payresil.run={verdict['run']}"}
    engine = docker.from_env()
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.networks.list(filters=label) == []
    assert engine.volumes.list(filters=label) == []
    return verdict, Run.open(latest)


@pytest.mark.usefixtures("images")
def test_a_prometheus_in_a_container_tells_operators(tmp_path: Path) -> None:
    _, tables = ran(tmp_path, TOLD)
    started = "select count(*) from events where name = 'prometheus' and what = 'started'"
    assert tables.one(f"{started} and detail like '%container%'") == 1
    labels = tables.one("select any_value(labels) from alerts where state = 'firing'")
    assert 'instance="a-service-' in labels  # in its network, past its links


@pytest.mark.usefixtures("images")
def test_the_books_of_a_shop_in_containers_are_its_sqlite_files(shop: Path) -> None:
    _, tables = ran(shop, SOLD)
    assert tables.one("select count(*) from books_payments") > 100
    assert tables.one("select count(*) from books_refunds") > 0

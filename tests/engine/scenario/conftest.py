"""Members and systems of the tests' own, so that these say nothing about the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from payresil.core import registry
from payresil.core.registry import OpenSet
from payresil.core.schema import LinkSelector, NodeSelector
from payresil.core.schemas import SCHEMAS
from payresil.core.system import System
from payresil.core.topology import Topology
from payresil.core.values import Duration, Rate, Share
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

_GOOD = """\
name: lost-answers
claim: A customer is charged once.
system: refpay
seed: 7
workload:
  rate: 50/s
  duration: 40s
  journeys: {checkout: 8, impatient: 2}
  warm_up: 1s
  arrivals: constant
  patience: 8s
  timeout: 2s
faults:
  - {at: 10s, duration: 8s, lost_answers: {share: 30%}}
  - {at: 20s, duration: 2s, latency: {link: service->db, latency: 3s, jitter: 250ms}}
  - {at: 25s, duration: 1s, lost_answers}
  - at: 26s
    duration: 4s
    crash:
      node: service.1
checks:
  - idempotency
  - availability: {steady: 99%, faulted: 50%}
  - latency: {p99: 1s}
  - recovery: {rto: 15s}
"""


@pytest.fixture(autouse=True, scope="module")
def own_members() -> Iterator[None]:
    """The open sets hold what is defined here and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("faults", "checkers", "journeys"):
            patch.setattr(registry, name, OpenSet(name[:-1], "payresil.systems"))
        _define()
        yield


@pytest.fixture(scope="session")
def good() -> str:
    """A scenario in which every form occurs."""
    return _GOOD


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a scenario file."""

    def write_file(text: str, name: str = "scenario.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture(scope="session")
def system() -> System:
    """The reference service, with books."""
    return replace(
        load_system("refpay"), books={name: "select 1" for name in SCHEMAS if "books_" in name}
    )


@pytest.fixture(scope="session")
def topology(system: System) -> Topology:
    return topology_of(system)


def _define() -> None:
    def evidence(*_: Any) -> None: ...

    @registry.fault(evidence=evidence)
    @contextmanager
    def lost_answers(environment: Any, share: Share = Share(1.0)) -> Iterator[None]:  # noqa: B008
        """The PSP commits and its answer is lost."""
        yield

    @registry.fault(evidence=evidence)
    @contextmanager
    def latency(
        environment: Any,
        link: LinkSelector,
        latency: Duration,
        jitter: Duration = Duration(0),  # noqa: B008
    ) -> Iterator[None]:
        """Answers take longer."""
        yield

    @registry.fault(evidence=evidence)
    @contextmanager
    def crash(environment: Any, node: NodeSelector) -> Iterator[None]:
        """A node dies."""
        yield

    @registry.fault(evidence=evidence)
    @contextmanager
    def storm(
        environment: Any,
        links: list[LinkSelector],
        rate: Rate | None = None,
        mode: Literal["up", "down"] = "up",
        weights: dict[str, int] = {},  # noqa: B006 - never changed
    ) -> Iterator[None]:
        """Everything at once."""
        yield

    @registry.checker(kind="money", needs=["attempts", "psp_charges"])
    def idempotency(run: Any) -> None:
        """One intent moves money at most once."""

    @registry.checker(kind="money", needs=["books_entries"])
    def double_entry(run: Any) -> None:
        """The ledger balances."""

    @registry.checker(kind="money", needs=["replication"])
    def rpo(run: Any) -> None:
        """Nothing acknowledged is lost."""

    @registry.checker(kind="objective", needs=["attempts", "events"])
    def availability(run: Any, steady: Share | None = None, faulted: Share | None = None) -> None:
        """Customers get an answer."""

    registry.checkers.add("latency", _latency, kind="objective", needs=("attempts",))

    @registry.checker(kind="objective", needs=["attempts"])
    def recovery(run: Any, rto: Duration, window: Duration = Duration(1.0)) -> None:  # noqa: B008
        """Service is restored in time."""

    @registry.journey
    def checkout(client: Any, random: Any) -> None:
        """Pays once."""

    @registry.journey(retries=True)
    def impatient(client: Any, random: Any) -> None:
        """Clicks twice."""

    @registry.journey(retries=True, needs=("refund",))
    def returns(client: Any, random: Any) -> None:
        """Pays, and wants the money back."""


def _latency(
    run: Any,
    p50: Duration | None = None,
    p99: Duration | None = None,
    phase: Literal["steady", "faulted", "recovering"] = "steady",
) -> None:
    """Customers get their answer in time."""

"""Limits of containers: the least that any fault allows, and all there is when none does."""

from __future__ import annotations

from typing import Any, cast

import docker.errors
import pytest

from payresil.backends.containers.limits import ContainerLimits
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node

DB = Node.parse("a/db")
MACHINE = 8 * 10**9


class Part:
    """A container that remembers its limits."""

    name = "a/db"

    def __init__(self) -> None:
        self.container = self
        self.memory_limited = self.ended_by_limit = False
        self.now: dict[str, int] = {}
        self.uses = 0
        self.starts: list[str] = []

    def update(self, **limits: int) -> None:
        if limits.get("mem_limit", MACHINE) < self.uses:
            words = f"unable to set memory limit (current usage: {self.uses}, peak usage: 0)"
            raise docker.errors.APIError("500", explanation=words)
        self.now |= limits

    def launch(self) -> None:
        self.starts.append("launch")

    def await_ready(self) -> None:
        self.starts.append("ready")


@pytest.fixture
def part() -> Part:
    return Part()


@pytest.fixture
def reports() -> list[Any]:
    return []


@pytest.fixture
def limits(part: Part, reports: list[Any]) -> ContainerLimits:
    def report(*what: Any, **detail: Any) -> None:
        reports.append((*what, detail))

    return ContainerLimits({DB: cast(Any, part)}, MACHINE, report)


def test_memory_is_without_swap_and_comes_back(
    limits: ContainerLimits, part: Part, reports: list[Any]
) -> None:
    with limits.memory(DB, 50_000_000):
        assert part.now == {"mem_limit": 50_000_000, "memswap_limit": 50_000_000}
        assert part.memory_limited
    assert part.now == {"mem_limit": MACHINE, "memswap_limit": 2 * MACHINE}
    assert not part.memory_limited
    assert part.starts == []
    assert [what for _, _, what, _ in reports] == ["memory_limited", "memory_lifted"]


def test_cpu_time_is_dealt_out_by_tenths_of_a_second(limits: ContainerLimits, part: Part) -> None:
    with limits.cpu(DB, 0.25):
        assert part.now == {"cpu_period": 100_000, "cpu_quota": 25_000}
    assert part.now["cpu_quota"] == -1


def test_the_least_that_any_fault_allows_is_in_force(limits: ContainerLimits, part: Part) -> None:
    first, second = limits.cpu(DB, 0.5), limits.cpu(DB, 0.1)
    first.__enter__()
    second.__enter__()
    assert part.now["cpu_quota"] == 10_000
    second.__exit__(None, None, None)
    assert part.now["cpu_quota"] == 50_000
    limits.heal()
    assert part.now["cpu_quota"] == -1
    first.__exit__(None, None, None)
    assert part.now["cpu_quota"] == -1


def test_one_that_was_killed_for_want_of_memory_is_started_again(
    limits: ContainerLimits, part: Part
) -> None:
    with limits.memory(DB, 50_000_000):
        part.ended_by_limit = True
    assert part.starts == ["launch", "ready"]


def test_what_docker_would_refuse_is_told_in_words(limits: ContainerLimits, part: Part) -> None:
    for refused, words in (
        (limits.memory(DB, 1_000_000), "6 MiB"),
        (limits.cpu(DB, 0.001), "1% of a core"),
        (limits.cpu(Node.parse("customers"), 1.0), "no node"),
    ):
        with pytest.raises(EnvironmentBroke, match=words):
            refused.__enter__()
    assert part.now == {}


def test_a_limit_below_what_is_in_use_is_refused_in_words(
    limits: ContainerLimits, part: Part
) -> None:
    part.uses = 104_255_488
    refused = limits.memory(DB, 60_000_000)
    with pytest.raises(EnvironmentBroke, match=r"a/db uses 104 MB of memory already.*to 60 MB"):
        refused.__enter__()
    limits.heal()
    assert part.now == {}

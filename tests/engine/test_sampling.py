"""Metrics of nodes end up in the samples table; a silent node is a sample too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from payresil.core.protocols import EnvironmentBroke, Reading, Unreachable
from payresil.core.schemas import SCRAPE_SECONDS
from payresil.core.tables import read_folder
from payresil.engine.sampling import Sampler

_TEXT = """# TYPE requests counter
requests_total{status="500",route="/pay"} 3
# TYPE seconds histogram
seconds_bucket{le="1"} 2
seconds_bucket{le="+Inf"} 2
seconds_sum 0.5
seconds_count 2
"""


def test_samples_carry_sorted_labels_and_no_buckets(
    tmp_path: Path, serve: Callable[..., str]
) -> None:
    asked = threading.Semaphore(0)

    def answer(*_: object) -> tuple[int, str]:
        asked.release()
        return 200, _TEXT

    sampler = Sampler(tmp_path, {"a/service.1": serve(answer)}, 0, period_s=0.01)
    for _ in range(3):
        assert asked.acquire(timeout=10)
    sampler.close()
    rows = read_folder(tmp_path)["samples"].to_pylist()
    took = [row["value"] for row in rows if row["metric"] == SCRAPE_SECONDS]
    assert len(took) == sum(row["metric"] == "up" for row in rows)
    assert all(0 < each < 1 for each in took)
    found = {
        (row["metric"], row["labels"], row["value"])
        for row in rows
        if row["metric"] != SCRAPE_SECONDS
    }
    assert found == {
        ("up", "", 1.0),
        ("requests_total", 'route="/pay",status="500"', 3.0),
        ("seconds_sum", "", 0.5),
        ("seconds_count", "", 2.0),
    }


def test_how_long_a_scrape_took_is_recorded(tmp_path: Path, serve: Callable[..., str]) -> None:
    asked, may_answer = threading.Semaphore(0), threading.Event()
    held_ns = 0

    def answer(*_: object) -> tuple[int, str]:
        nonlocal held_ns
        began_ns = time.monotonic_ns()
        asked.release()
        assert may_answer.wait(timeout=10)
        held_ns = held_ns or time.monotonic_ns() - began_ns
        return 200, _TEXT

    sampler = Sampler(tmp_path, {"a/service.1": serve(answer)}, 0, period_s=0.01)
    assert asked.acquire(timeout=10)
    may_answer.set()
    assert asked.acquire(timeout=10)
    sampler.close()
    rows = read_folder(tmp_path)["samples"].to_pylist()
    first = next(row["value"] for row in rows if row["metric"] == SCRAPE_SECONDS)
    assert first >= held_ns / 1e9 > 0


def test_a_node_that_does_not_answer_is_down(tmp_path: Path, serve: Callable[..., str]) -> None:
    asked = threading.Semaphore(0)

    def answer(*_: object) -> tuple[int, str]:
        asked.release()
        return 503, ""

    sampler = Sampler(tmp_path, {"psp": serve(answer)}, 0, period_s=0.01)
    for _ in range(2):
        assert asked.acquire(timeout=10)
    sampler.close()
    rows = read_folder(tmp_path)["samples"].to_pylist()
    assert {row["node"] for row in rows} == {"psp"}
    assert {row["metric"] for row in rows} == {"up", SCRAPE_SECONDS}
    assert {row["value"] for row in rows if row["metric"] == "up"} == {0.0}


def test_what_is_read_of_nodes_without_metrics_stands_beside_the_others(
    tmp_path: Path, serve: Callable[..., str]
) -> None:
    asked = threading.Semaphore(0)

    def readings() -> list[Reading]:
        asked.release()
        return [Reading("b/db", "replication_lag_seconds", 0.5), Reading("a/db", "primary", 1)]

    target = {"a/service.1": serve(lambda *_: (200, _TEXT))}
    sampler = Sampler(tmp_path, target, 0, period_s=0.01, readings=readings)
    for _ in range(3):
        assert asked.acquire(timeout=10)
    sampler.close()
    rows = read_folder(tmp_path)["samples"].to_pylist()
    read = [row for row in rows if row["metric"] == "replication_lag_seconds"]
    assert len(read) >= 2
    assert {(row["node"], row["labels"], row["value"]) for row in read} == {("b/db", "", 0.5)}
    assert {row["at_ns"] for row in read} == {
        row["at_ns"] for row in rows if row["metric"] == "primary"
    }
    assert all(row["at_ns"] > 0 for row in read)


def test_a_node_that_is_away_does_not_hold_up_the_metrics_of_others(
    tmp_path: Path, serve: Callable[..., str]
) -> None:
    scraped, may_answer = threading.Semaphore(0), threading.Event()

    def metrics(*_: object) -> tuple[int, str]:
        scraped.release()
        return 200, _TEXT

    def readings() -> list[Reading]:
        may_answer.wait(10)
        return []

    target = {"a/service.1": serve(metrics)}
    sampler = Sampler(tmp_path, target, 0, period_s=0.01, readings=readings)
    for _ in range(3):
        assert scraped.acquire(timeout=10)
    may_answer.set()
    sampler.close()


@pytest.mark.parametrize("error", [EnvironmentBroke("no such role yet"), Unreachable("away")])
def test_readings_that_fail_once_are_read_again(tmp_path: Path, error: Exception) -> None:
    asked = threading.Semaphore(0)
    failures = iter([error])

    def readings() -> list[Reading]:
        asked.release()
        for failure in failures:
            raise failure
        return [Reading("b/db", "replication_connected", 1)]

    sampler = Sampler(tmp_path, {}, 0, period_s=0.01, readings=readings)
    for _ in range(3):
        assert asked.acquire(timeout=10)
    sampler.close()
    rows = read_folder(tmp_path)["samples"].to_pylist()
    assert {row["metric"] for row in rows} == {"replication_connected"}


def test_a_defect_that_ends_the_readings_is_told_at_the_end(tmp_path: Path) -> None:
    asked = threading.Event()

    def readings() -> list[Reading]:
        asked.set()
        raise ZeroDivisionError

    sampler = Sampler(tmp_path, {}, 0, period_s=0.01, readings=readings)
    assert asked.wait(10)
    with pytest.raises(ZeroDivisionError):
        sampler.close()
    assert read_folder(tmp_path)["samples"].num_rows == 0

"""Metrics of nodes end up in the samples table; a silent node is a sample too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

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

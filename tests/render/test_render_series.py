"""The series behind the charts add up to the run's tables."""

from __future__ import annotations

import random

import pytest

from payresil.core.run import Run
from payresil.render.charts.series import series

S = 1_000_000_000


def attempt(intent, due, done, outcome="ok", **more):
    return {
        "intent": intent, "operation": "pay", "attempt": 1, "source": "load", "kind": "create",
        "due_ns": int(due * S), "sent_ns": int(due * S), "done_ns": int(done * S),
        "outcome": outcome, **more,
    }  # fmt: skip


def test_nothing_recorded_is_no_series():
    assert series(Run.from_rows({})) is None
    assert series(Run.from_rows({}, attempts=[attempt("i", 0, 1, source="audit")])) is None


def test_negative_time_has_its_own_second():
    data = series(Run.from_rows({}, attempts=[attempt("a", -0.5, 0), attempt("b", 0.5, 1)]))
    assert data.edges_s == [-1.0, 0.0, 1.0]
    assert data.intents == [1, 1]


def test_latency_runs_from_due_to_the_final_answer():
    rows = [
        attempt("a", 0.0, 3.0, "unknown"),
        attempt("a", 3.1, 3.2, attempt=2),
        attempt("b", 2.0, 9.0, "unknown"),
    ]
    data = series(Run.from_rows({}, attempts=rows))
    assert data.latency_ms["p50"] == [3200.0, None, None, None]
    assert data.intents == [1, 0, 1, 0]
    assert data.intents_not_ok == [0, 0, 1, 0]
    assert data.attempts["unknown"] == [1, 0, 1, 0]
    assert data.attempts["ok"] == [0, 0, 0, 1]


def test_percentiles_of_a_long_stretch_come_from_every_intent():
    random_ = random.Random(1)
    latencies = [random_.expovariate(20) for _ in range(2000)]
    rows = [attempt(f"i{n}", n * 0.5, n * 0.5 + took) for n, took in enumerate(latencies)]
    data = series(Run.from_rows({}, attempts=rows))
    assert data.width_s == 5
    first = sorted(latencies[:10])
    assert data.latency_ms["p50"][0] == pytest.approx((first[4] + first[5]) * 500, abs=1e-3)


def test_everything_is_counted_once(flawless):
    data = series(flawless)
    assert sum(map(sum, data.attempts.values())) == flawless.one("select count(*) from attempts")
    assert sum(data.intents) == flawless.one("select count(*) from intents")
    assert sum(data.answered) == flawless.one("select count(*) from intents where outcome = 'ok'")
    assert len(data.edges_s) == data.length + 1


def test_an_outcome_that_nobody_knows_is_unknown():
    data = series(Run.from_rows({}, attempts=[attempt("a", 0, 1, "odd")]))
    assert data.attempts["unknown"] == [1]

from __future__ import annotations

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.latency import latency
from payresil.core.values import Duration


def answered(history, milliseconds, start_s=0.0, span_s=10.0):
    """Payments due evenly over a span, answered after so long; None: never."""
    for i, ms in enumerate(milliseconds):
        history.attempt(
            len(history["attempts"]),
            start_s + span_s * i / len(milliseconds),
            ms or 1,
            outcome="ok" if ms is not None else "unknown",
        )


def test_percentiles_are_exact(empty, ask):
    answered(empty, random.Random(1).sample(range(1, 1001), 1000))
    said = ask(latency, empty.run(), p50=Duration(0.6), p99=Duration(1.0))
    assert said.passes
    assert said.value("p50") == 500
    assert said.value("p95") == 950
    assert said.value("p99") == 990
    assert said.measures["p99"].objective == "at most 1s"
    assert said.measures["p95"].objective is None
    # P(X ≤ 982) = 0.014, P(X ≤ 983) = 0.026; P(X ≤ 995) = 0.971, P(X ≤ 996) = 0.990
    assert (said.measures["p99"].low, said.measures["p99"].high) == (983, 997)


def test_latency_runs_from_due_over_retries(empty, ask):
    empty.attempt(1, 1, 3000, outcome="unknown")
    empty.attempt(1, 4, 500, attempt=2)
    assert ask(latency, empty.run()).value("p50") == 3500


def test_latency_runs_from_due_not_from_sent(empty, ask):
    empty.attempt(1, 1, 500, sent_ns=1_400_000_000)
    said = ask(latency, empty.run())
    assert said.value("p50") == 500
    assert said.value("lateness_p99") == 400


def test_over_the_bound(empty, ask):
    answered(empty, [10] * 900 + [800] * 100)
    said = ask(latency, empty.run(), p99=Duration(0.15))
    assert [f.message for f in said.findings] == [
        "p99 in phase steady is 800.0 ms; the objective is 150ms"
    ]
    assert not said.doubts


def test_within_by_less_than_chance_is_a_doubt(empty, ask):
    answered(empty, [10] * 992 + [800] * 8)
    said = ask(latency, empty.run(), p99=Duration(0.15))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "p99 of 1,000 payments in phase steady is 10.0 ms, and its 95 % interval, 10.0 ms to "
        "800.0 ms, does not decide on 150ms"
    ]


def test_too_few_for_a_high_percentile(empty, ask):
    answered(empty, [10] * 300)
    said = ask(latency, empty.run(), p50=Duration(0.15), p99=Duration(0.15))
    assert len(said.doubts) == 1
    assert "10.0 ms to unbounded" in said.doubts[0].message
    assert said.measures["p99"].high is None


def test_who_never_got_an_answer_waited_longest(empty, ask):
    answered(empty, [10] * 950 + [None] * 50)
    said = ask(latency, empty.run(), p50=Duration(0.15), p99=Duration(0.15))
    assert [f.message for f in said.findings] == [
        "p99 in phase steady is no answer at all; the objective is 150ms"
    ]
    assert said.value("p99") is None
    assert said.value("p50") == 10
    assert said.value("unanswered") == 50


def test_another_phase(empty, ask):
    answered(empty, [10] * 50)
    answered(empty, [700] * 50, start_s=10, span_s=8)
    said = ask(latency, empty.run(), p50=Duration(0.5), phase="faulted")
    assert len(said.findings) == 1
    assert said.value("intents_judged") == 50


def test_a_phase_that_never_was(empty, ask):
    answered(empty, [10] * 50)
    said = ask(latency, empty.run(), p50=Duration(0.5), phase="stedy")
    assert [d.message for d in said.doubts] == ["no payment was due in the phase stedy"]


def test_no_objective_is_a_doubt(history, ask):
    assert ask(latency, history.run()).doubts


def test_probes_are_left_out(empty, ask):
    answered(empty, [10] * 50)
    for row in empty["attempts"][:20]:
        row["source"] = "probe"
    assert ask(latency, empty.run()).value("intents_judged") == 30


def test_a_generator_that_sends_late_is_the_bottleneck(empty, ask):
    answered(empty, [50] * 100)
    for row in empty["attempts"]:
        row["sent_ns"] = row["due_ns"] + 30_000_000
    said = ask(latency, empty.run(), p50=Duration(0.15))
    assert [d.message for d in said.doubts] == [
        "the load generator was the bottleneck: it sent 1 % of the first attempts 30.0 ms late or "
        "more, where 25 ms is tolerable"
    ]
    assert said.value("lateness_p50") == said.value("lateness_max") == 30


def test_an_objective_missed_by_a_generator_that_sends_late_is_undecided(empty, ask):
    answered(empty, [800] * 100)
    for row in empty["attempts"]:
        row["sent_ns"] = row["due_ns"] + 700_000_000
    said = ask(latency, empty.run(), p50=Duration(0.15))
    assert not said.findings
    assert said.doubts[0].message.endswith(
        "; undecided, since the load generator was the bottleneck"
    )
    assert len(said.doubts) == 2


def test_lateness_that_no_objective_turns_on_is_tolerable(empty, ask):
    answered(empty, [50] * 100)
    for row in empty["attempts"]:
        row["sent_ns"] = row["due_ns"] + 30_000_000
    assert ask(latency, empty.run(), p50=Duration(2)).passes


def test_an_attempt_that_was_never_sent_is_late_without_end(empty, ask):
    answered(empty, [50] * 100)
    for row in empty["attempts"][:50]:
        row["sent_ns"] = None
    assert len(ask(latency, empty.run(), p50=Duration(2)).doubts) == 1


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    values=st.lists(st.one_of(st.none(), st.integers(1, 2000)), min_size=1, max_size=60),
)
def test_against_a_sorted_list_in_any_order(seed, values, empty_run, ask, same_in_any_order):
    history = empty_run()
    answered(history, values)
    said = ask(latency, history.run(), p50=Duration(1))
    slow = sorted(math.inf if value is None else value for value in values)
    for percent in (50, 95, 99):
        # The smallest value that so many per cent of all are not above.
        exact = next(x for i, x in enumerate(slow) if 100 * (i + 1) >= percent * len(slow))
        measured = said.value(f"p{percent}")
        assert measured == (None if exact == math.inf else pytest.approx(exact))
    same_in_any_order(latency, history, seed, p50=Duration(1))

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.promql import promql
from payresil.core.values import Duration

S = 1_000_000_000
QUERY = "sum(rate(errors[5s]))"


def answered(history, values, *, query=QUERY, labels="", offset_ns=300_000_000, step_s=1):
    """Prometheus was asked from -2 s on; `values` is second → value."""
    asked = {
        "query": query,
        "from_ns": -2 * S + offset_ns,
        "to_ns": 44 * S + offset_ns,
        "step_ns": step_s * S,
    }
    history.event(44, "step", "prometheus", "answered", json.dumps(asked))
    history.tables.setdefault("series", []).extend(
        {"query": query, "labels": labels, "at_ns": s * S + offset_ns, "value": value}
        for s, value in values.items()
    )


def steady(value):
    return dict.fromkeys(range(-2, 45), value)


def test_a_query_within_its_bounds(empty, ask):
    answered(empty, steady(0.5))
    said = ask(promql, empty.run(), query=QUERY, at_most=0.5, at_least=0.5, phase="steady")
    assert said.passes
    assert said.value("points_judged") == said.value("moments_judged") == 10
    assert said.measures["highest"].objective == "at most 0.5"
    assert said.measures["lowest"].objective == "at least 0.5"


def test_all_of_the_traffic_is_judged_where_no_phase_is_named(empty, ask):
    answered(empty, steady(1.0) | {-1: 9.0, 42: 9.0})  # warm-up and settle
    said = ask(promql, empty.run(), query=QUERY, at_most=1.0)
    assert said.passes
    assert said.value("moments_judged") == 41


def test_beyond_a_bound_from_and_to(empty, ask):
    answered(empty, steady(0.0) | {12: 2.0, 13: 3.25, 14: 2.0})
    said = ask(promql, empty.run(), query=QUERY, at_most=1.0, phase="faulted")
    (finding,) = said.findings
    assert finding.message == (
        f"faulted: {QUERY} was 3.25 from 12.300 s to 14.300 s; the objective is at most 1"
    )
    assert ask(promql, empty.run(), query=QUERY, at_most=1.0, phase="steady").passes


def test_below_a_bound_at_one_moment_of_one_series(empty, ask):
    answered(empty, steady(5.0), labels='node="a"')
    answered(empty, steady(5.0) | {30: -1.5}, labels='node="b"')
    said = ask(promql, empty.run(), query=QUERY, at_least=0.0)
    (finding,) = said.findings
    assert f'{QUERY} {{node="b"}} was -1.5 at 30.300 s' in finding.message


def test_grace_lets_short_ones_pass(empty, ask):
    answered(empty, steady(0.0) | {20: 2.0, 21: 2.0, 30: 2.0, 31: 2.0, 32: 2.0})
    said = ask(promql, empty.run(), query=QUERY, at_most=1.0, grace=Duration(2.0))
    (finding,) = said.findings
    assert "from 30.300 s to 32.300 s" in finding.message


def test_grace_that_lets_everything_pass_leaves_a_doubt(empty, ask):
    answered(empty, steady(9.0))
    said = ask(promql, empty.run(), query=QUERY, at_most=1, phase="steady", grace=Duration(10.0))
    assert not said.findings
    assert "10s of grace let all pass" in said.doubts[0].message


def test_no_number_is_no_value(empty, ask):
    answered(empty, steady(math.nan))
    said = ask(promql, empty.run(), query=QUERY, at_most=1.0)
    assert not said.findings
    assert "a value at 0 of 41 moments" in said.doubts[0].message


def test_without_end_is_beyond_every_bound(empty, ask):
    answered(empty, steady(0.0) | {15: math.inf})
    said = ask(promql, empty.run(), query=QUERY, at_most=1e300)
    assert "was inf at 15.300 s" in said.findings[0].message
    assert said.value("highest") is None


@pytest.mark.parametrize(("missing", "doubts"), [(2, 0), (4, 0), (5, 1)])
def test_values_at_too_few_moments(empty, ask, missing, doubts):
    answered(empty, {s: v for s, v in steady(0.0).items() if not 5 <= s < 5 + missing})
    assert len(ask(promql, empty.run(), query=QUERY, at_most=1.0).doubts) == doubts


def test_a_query_that_gave_nothing(empty, ask):
    answered(empty, {})
    said = ask(promql, empty.run(), query=QUERY, at_most=1.0)
    assert "add `or vector(0)`" in said.doubts[0].message
    assert said.value("points_judged") == 0


def test_no_objective(empty, ask):
    answered(empty, steady(0.0))
    assert "at_most or at_least" in ask(promql, empty.run(), query=QUERY).doubts[0].message


def test_a_run_without_prometheus(empty, ask):
    (doubt,) = ask(promql, empty.run(), query=QUERY, at_most=1.0).doubts
    assert doubt.message == "no Prometheus watched this run"
    empty.event(-2, "step", "prometheus", "none", json.dumps({"error": "install one"}))
    (doubt,) = ask(promql, empty.run(), query=QUERY, at_most=1.0).doubts
    assert doubt.message == "install one"


def test_another_query_was_asked(empty, ask):
    answered(empty, steady(0.0), query="up")
    assert ask(promql, empty.run(), query=QUERY, at_most=1.0).doubts


def test_prometheus_that_did_not_answer(empty, ask):
    detail = json.dumps({"query": QUERY, "error": "connection refused"})
    empty.event(44, "step", "prometheus", "failed", detail)
    (doubt,) = ask(promql, empty.run(), query=QUERY, at_most=1.0).doubts
    assert doubt.message == "Prometheus gave no answer: connection refused"


@pytest.mark.parametrize("detail", ["{}", '"text"', '{"from_ns": "1", "to_ns": 2, "step_ns": 1}'])
def test_a_record_that_cannot_be_right(empty, ask, detail):
    told = json.dumps({"query": QUERY} | (json.loads(detail) if detail[0] == "{" else {}))
    empty.event(44, "step", "prometheus", "answered", told)
    (doubt,) = ask(promql, empty.run(), query=QUERY, at_most=1.0).doubts
    assert "for which moments" in doubt.message


def test_a_phase_that_never_was(history, ask):
    history["events"][:] = [e for e in history["events"] if e["name"] != "faulted"]
    answered(history, steady(0.0))
    (doubt,) = ask(promql, history.run(), query=QUERY, at_most=1.0, phase="faulted").doubts
    assert "no phase faulted" in doubt.message


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=41, max_size=41),
    grace=st.integers(0, 4),
)
def test_found_is_every_stretch_that_is_longer_than_the_grace(values, grace, empty_run, ask):
    history = empty_run()
    answered(history, dict(enumerate(values)))
    said = ask(promql, history.run(), query=QUERY, at_most=1.0, grace=Duration(float(grace)))
    stretches = "".join("x" if value > 1 else " " for value in values).split()
    assert len(said.findings) == sum(len(each) > grace for each in stretches)

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.results import (
    CheckResult,
    Doubt,
    Finding,
    Line,
    Measure,
    Outcome,
    Verdict,
)
from payresil.core.verdict_file import VerdictError, from_json, to_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.one_of(
    st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)
)
reals = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
lines = st.builds(
    Line, st.one_of(st.none(), st.integers(-(2**62), 2**62)), texts, texts, st.booleans()
)
findings = st.builds(Finding, texts, st.one_of(st.none(), texts), st.lists(lines).map(tuple))
measures = st.builds(Measure, texts, numbers, texts, reals, reals, st.one_of(st.none(), texts))
doubts = st.builds(Doubt, texts, st.one_of(st.none(), texts))
results = st.builds(
    CheckResult,
    texts,
    texts,
    texts,
    st.sampled_from(Outcome),
    st.dictionaries(texts, st.one_of(texts, st.integers(-9, 9), st.none(), st.lists(texts))),
    st.lists(measures, max_size=3).map(tuple),
    st.lists(findings, max_size=3).map(tuple),
    st.integers(0, 10**6),
    st.lists(doubts, max_size=2).map(tuple),
    st.floats(0, 10),
)
verdicts = st.builds(
    Verdict,
    texts,
    texts,
    texts,
    st.sampled_from(Outcome),
    st.sampled_from([0, 1, 3, 4, 130]),
    st.lists(results, max_size=2).map(tuple),
    st.lists(results, max_size=2).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
    st.one_of(st.none(), texts),
    st.booleans(),
)


@settings(deadline=None, max_examples=50)
@given(verdicts)
def test_what_was_written_is_read_back(verdict):
    assert from_json(to_json(verdict)) == verdict


EMPTY = Verdict("r", "s", "c", Outcome.PASS, 0, (), ())


def test_the_keys_stand_at_the_top():
    content = json.loads(to_json(EMPTY))
    assert list(content) == [
        "verdict_version",
        "run",
        "scenario",
        "claim",
        "outcome",
        "exit_status",
        "checks",
        "faults",
        "warnings",
        "broken",
        "interrupted",
    ]
    assert content["outcome"] == "pass"


def test_it_is_json_even_where_a_number_is_not_finite():
    check = CheckResult("x", "objective", "", Outcome.PASS, measures=(Measure("m", math.inf),))
    verdict = Verdict("r", "s", "c", Outcome.PASS, 0, (check,), ())
    assert from_json(to_json(verdict)).checks[0].measures[0].value is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ("[]", "array"),
        ("{}", "its version is None"),
        ('{"verdict_version": 99}', "its version is 99"),
        ('{"verdict_version": 1}', "missing required field"),
        (to_json(EMPTY).replace('"pass"', '"great"'), "great"),
        (to_json(EMPTY)[:-20], ""),
    ],
)
def test_anything_else_is_a_clear_error(text, why):
    with pytest.raises(VerdictError, match="payresil check") as raised:
        from_json(text)
    assert why in str(raised.value)

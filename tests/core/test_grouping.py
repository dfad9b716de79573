from __future__ import annotations

from collections import Counter, defaultdict

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core import grouping
from payresil.core.grouping import (
    ambiguous,
    columns,
    grouped,
    keep_suspects,
    repeated,
    sums,
)

# few keys, so that they repeat; with all of the width of a code
codes = st.lists(st.sampled_from([0, 1, 2, 1 << 31, (1 << 32) + 1, 1 << 63, (1 << 64) - 1]))


def array(numbers):
    return np.array(numbers, np.uint64)


@pytest.fixture(autouse=True, params=["one thread", "two threads"])
def threads(request, monkeypatch):
    """Few codes are sorted by one thread; here by two as well."""
    if request.param == "two threads":
        monkeypatch.setattr(grouping, "_WORTH_THREADS", 2)


@given(codes)
def test_what_occurs_more_than_once(numbers):
    again = sorted(number for number, times in Counter(numbers).items() if times > 1)
    assert repeated(array(numbers)).tolist() == again


@given(codes, st.integers(0, 40))
def test_groups_have_the_rows_of_their_keys(numbers, bits):
    rows = defaultdict(list)
    for number in numbers:
        rows[number >> bits << bits].append(number)
    low = (1 << bits) - 1
    groups = grouped(array(numbers), bits)
    assert groups.keys.tolist() == sorted(rows)
    assert groups.counts.tolist() == [len(rows[key]) for key in sorted(rows)]
    said = [np.bitwise_or.reduce(array(rows[key])) & np.uint64(low) for key in sorted(rows)]
    assert groups.said().tolist() == said
    flag = low + 1 >> 1
    saying = [sum(number & flag != 0 for number in rows[key]) for key in sorted(rows)]
    assert groups.saying(flag).tolist() == saying


@given(codes)
def test_upper_halves_with_several_lower_halves(numbers):
    halves = defaultdict(set)
    for number in numbers:
        halves[number >> 32 << 32].add(number)
    assert ambiguous(array(numbers)).tolist() == sorted(k for k, v in halves.items() if len(v) > 1)


@given(st.lists(st.tuples(st.sampled_from([0, 7 << 40, 1 << 63]), st.integers(-(2**40), 2**40))))
def test_sums_by_key(rows):
    expected = defaultdict(int)
    for key, value in rows:
        expected[key] += value
    keys, values = array([key for key, _ in rows]), np.array([v for _, v in rows], np.int64)
    groups, (added, twice) = sums(keys, values, 2 * values)
    assert groups.keys.tolist() == sorted(expected)
    assert added.tolist() == [expected[key] for key in sorted(expected)]
    assert twice.tolist() == [2 * total for total in added.tolist()]


def test_suspects_are_found_by_sql():
    database = duckdb.connect(":memory:")
    database.execute("create table t as select 'p' || (i % 7) as p from range(10) r(i)")
    keep_suspects(database, "again", repeated(columns(database, "select hash(p) from t")[0]))
    found = database.execute("select distinct p from t where hash(p) >> 32 in (from again)")
    assert sorted(found.fetchall()) == [("p0",), ("p1",), ("p2",)]
    keep_suspects(database, "again", array([]))  # a second look in the same run
    assert database.execute("select count(*) from again").fetchall() == [(0,)]

"""Ids that contain the number of their row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stub_psp.identifiers import PREFIXES, mint, numbered, secret, seq_of

TABLES = st.sampled_from(sorted(PREFIXES))


@given(TABLES, st.integers(0, 62**8 - 1))
def test_an_id_tells_its_row(table, seq):
    id_ = numbered(table, seq)
    assert seq_of(table, id_) == seq
    assert id_.isascii()
    assert len(id_) == len(PREFIXES[table]) + 25


@given(TABLES, st.lists(st.integers(0, 62**8 - 1), min_size=2, max_size=2, unique=True))
def test_ids_sort_as_their_rows_do(table, rows):
    one, two = sorted(rows)
    assert numbered(table, one) < numbered(table, two)


@given(TABLES, st.text(max_size=40))
def test_other_texts_tell_no_row(table, text):
    assert seq_of(table, text) is None


@pytest.mark.parametrize(
    "id_", ["pi_", "ch_00000001AAAAAAAAAAAAAAAA", "pi_0000-001AAAAAAAAAAAAAAAA"]
)
def test_near_misses(id_):
    assert seq_of("intents", id_) is None


def test_ids_are_not_repeated():
    assert len({mint("req") for _ in range(1000)} | {secret("whsec") for _ in range(1000)}) == 2000
    assert len({numbered("intents", 1) for _ in range(1000)}) == 1000

"""Positions in the log, names of its files, and timelines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.backends.embedded.replication.positions import (
    SEGMENT_BYTES,
    Lineage,
    Segment,
    log_files,
    lsn,
    position,
)

#: Timeline 3 came from 2 at 0/5000100, and 2 from 1 at 0/3000028.
_HISTORY = "1\t0/3000028\tno recovery target specified\n\n2\t0/5000100\tno recovery target\n"
_LINEAGE = Lineage.of([("00000002.history", "1\t0/3000028\tx\n"), ("00000003.history", _HISTORY)])


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_read_as_it_is_written(at: int) -> None:
    assert position(lsn(at)) == at


def test_a_position_as_postgresql_writes_it() -> None:
    assert position("1/2A") == 2**32 + 42
    assert lsn(2**32 + 42) == "1/2A"


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**40))
def test_a_segment_is_found_by_its_name(timeline: int, number: int) -> None:
    segment = Segment(timeline, number)
    assert Segment.named(segment.name) == segment
    assert Segment.named(f"{segment.name}.partial") == Segment(timeline, number, complete=False)
    assert Segment.holding(timeline, segment.start) == segment
    assert Segment.holding(timeline, segment.end - 1) == segment
    assert segment.end - segment.start == SEGMENT_BYTES


def test_a_segment_as_postgresql_names_it() -> None:
    assert Segment.holding(2, position("1/FF000028")).name == "0000000200000001000000FF"


@pytest.mark.parametrize("name", ["00000002.history", "base", "0000000200000001000000FF.x", ""])
def test_what_is_no_segment(name: str) -> None:
    assert Segment.named(name) is None


def test_the_newest_history_counts() -> None:
    assert _LINEAGE.timeline == 3
    assert _LINEAGE.ended == ((1, position("0/3000028")), (2, position("0/5000100")))


def test_the_first_timeline_has_no_history() -> None:
    assert Lineage.of([]) == Lineage(1)
    assert Lineage(1).sections(1, 42) == [(1, 42, None)]


def test_the_log_is_read_over_all_timelines_from_where_it_begins() -> None:
    first, second = position("0/3000028"), position("0/5000100")
    assert _LINEAGE.sections(1, 42) == [(1, 42, first), (2, first, second), (3, second, None)]
    assert _LINEAGE.sections(2, first) == [(2, first, second), (3, second, None)]
    assert _LINEAGE.sections(1, first) == [(2, first, second), (3, second, None)]


def test_what_in_a_folder_is_the_log(tmp_path: Path) -> None:
    for name in (
        "000000010000000000000002",
        "000000010000000000000003.partial",
        "00000002.history",
        "00000002.history.tmp",
    ):
        (tmp_path / name).touch()
    assert log_files(tmp_path) == {
        "000000010000000000000002",
        "000000010000000000000003",
        "00000002.history",
    }


@pytest.mark.parametrize(
    ("name", "is_held"),
    [
        ("000000010000000000000002", True),
        ("000000010000000000000003", False),  # the switch is in it: its end never was the source's
        ("000000010000000000000003.partial", True),  # it is written anew from its start
        ("000000010000000000000004.partial", False),
        ("000000020000000000000004", True),
        ("000000030000000000000009", True),
        ("000000040000000000000005", False),
    ],
)
def test_what_of_an_archive_a_source_had_too(name: str, is_held: bool) -> None:
    segment = Segment.named(name)
    assert segment is not None
    assert _LINEAGE.holds(segment) == is_held

"""The text of a Parquet column as its pages hold it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.pages import UnknownLayout
from payresil.core.sealed import open_parquet, write_parquet


def pages(path: Path, column: str = "a") -> list[bytes]:
    return [page.to_pybytes() for page in open_parquet(path).texts(column)]


def sealed(path: Path, values: list[str | None]) -> Path:
    write_parquet(path, pa.table({"a": pa.array(values, pa.string())}), [])
    return path


@settings(deadline=None, max_examples=30)
@given(st.lists(st.none() | st.text(max_size=40), max_size=60), st.integers(1, 400))
def test_every_value_is_whole_in_one_page(
    tmp_path_factory: pytest.TempPathFactory, values: list[str | None], times: int
) -> None:
    found = pages(sealed(tmp_path_factory.mktemp("p") / "t.parquet", values * times))
    for value in {value.encode() for value in values if value is not None}:
        assert any(value in page for page in found)


def test_a_column_that_is_a_dictionary_at_first_and_then_is_not(tmp_path: Path) -> None:
    values = [f"{n:08d}-{'x' * 40}" for n in range(300_000)]  # more than a dictionary may hold
    found = pages(sealed(tmp_path / "t.parquet", ["x", *values, "y"]))
    text = b"\n".join(found)
    assert all(value.encode() in text for value in values[:: len(values) // 100])
    assert values[-1].encode() in text


def test_what_repeats_is_there_once(tmp_path: Path) -> None:
    found = pages(sealed(tmp_path / "t.parquet", ["checkout", "impatient"] * 5000))
    assert b"".join(found).count(b"checkout") == 1


@pytest.mark.parametrize(
    "written",
    [
        {"compression": "snappy"},
        {"compression": "zstd", "data_page_version": "2.0"},
        {
            "compression": "zstd",
            "use_dictionary": False,
            "column_encoding": {"a": "DELTA_LENGTH_BYTE_ARRAY"},
        },
    ],
    ids=["another compression", "another kind of page", "another encoding"],
)
def test_another_layout_is_said_to_be_unknown(tmp_path: Path, written: dict[str, object]) -> None:
    pq.write_table(pa.table({"a": ["one", "two"]}), tmp_path / "t.parquet", **written)
    with pytest.raises(UnknownLayout):
        pages(tmp_path / "t.parquet")


def test_numbers_are_no_text(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", pa.table({"a": [1]}), [])
    with pytest.raises(UnknownLayout):
        pages(tmp_path / "t.parquet")

"""Sealed tables: whole or not at all, checked by their bytes, read column by column."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from payresil.core.sealed import Sealed, check_seal, open_parquet, write_parquet
from payresil.core.tables import TableError, from_rows, read_folder, write_sealed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [{"first": n, "count": n % 3, "source": f"s{n % 2}"} for n in range(500)]
    write_sealed(tmp_path, "reserved", from_rows("reserved", rows))
    return tmp_path / "reserved.parquet"


def test_whoever_reads_parquet_reads_a_sealed_table(path: Path) -> None:
    assert pq.read_table(path).num_rows == 500
    assert duckdb.sql(f"select sum(first) from '{path}'").fetchall() == [(124_750,)]


def test_any_changed_byte_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    rng = random.Random(3)
    for at in [*range(4), *rng.sample(range(len(data)), 200), *range(len(data) - 12, len(data))]:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        with pytest.raises(TableError, match=r"reserved\.parquet"):
            read_folder(path.parent)


@pytest.mark.parametrize("cut", [0, 3, 8, 11, 40, 200, -13])
def test_a_file_cut_short_has_no_seal(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"bytes|footer|seal"):
        check_seal(path)


def test_a_file_that_nobody_sealed_is_refused(path: Path) -> None:
    pq.write_table(from_rows("reserved", [{"first": 1}]), path)
    with pytest.raises(TableError, match="has no seal"):
        read_folder(path.parent)


def test_rows_and_pieces_are_what_was_written(path: Path) -> None:
    sealed = open_parquet(path)
    rows = sealed.rows()
    assert (sealed.num_rows, rows.schema) == (500, sealed.schema)
    for name in rows.column_names:
        pieces = [piece.cast(rows.schema.field(name).type) for piece in sealed.pieces(name)]
        assert pa.chunked_array(
            [chunk for piece in pieces for chunk in piece.chunks]
        ).to_pylist() == (rows[name].to_pylist())
    assert sealed.dataset().to_table().cast(rows.schema).to_pylist() == rows.to_pylist()


def test_text_that_repeats_comes_as_a_dictionary(path: Path) -> None:
    (piece,) = open_parquet(path).pieces("source")
    assert pa.types.is_dictionary(piece.type)
    assert piece.chunk(0).dictionary.to_pylist() == ["s0", "s1"]


def test_the_greatest_value(path: Path, tmp_path: Path) -> None:
    assert open_parquet(path).greatest("first") == 499
    empty = tmp_path / "empty.parquet"
    write_parquet(empty, pa.table({"a": pa.array([None], pa.int64())}), [])
    sealed: Sealed = open_parquet(empty)
    assert sealed.greatest("a") is None

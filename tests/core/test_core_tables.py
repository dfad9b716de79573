from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.schemas import RESERVED, SCHEMAS
from payresil.core.streams import END, DamagedStream, frames
from payresil.core.tables import (
    Recorder,
    TableError,
    Tail,
    from_rows,
    read_folder,
    salvage,
    seal,
    table_of,
    write_sealed,
)

Row = Sequence[Any]


def row(n: int) -> Row:
    return (n, 500, "load")


def stream(
    folder: Path, batches: Sequence[Sequence[Row]], shard: str = "", end: bool = True
) -> Path:
    """A stream of reserved blocks; without `end`, as a killed writer leaves it."""
    recorder = Recorder(folder, "reserved", shard)
    for rows in batches:
        recorder.extend(rows)
        recorder.flush()
    data = recorder.path.read_bytes()
    recorder.close()
    if not end:
        recorder.path.write_bytes(data)
    return recorder.path


def firsts(table: pa.Table) -> list[int]:
    found: list[int] = table.column("first").to_pylist()
    return found


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, bytes]:
    path = stream(tmp_path, [[row(0), row(1)], [row(2)], [row(3), row(4), row(5)]])
    return path, path.read_bytes()


def test_a_stream_cut_short_anywhere_keeps_every_whole_batch(whole: tuple[Path, bytes]) -> None:
    path, data = whole
    ends = [frame.end for frame in frames(memoryview(data))]
    rows_at = dict(zip(ends, [0, 2, 3, 6], strict=True))  # the schema, then three batches
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        kept = max((count for end, count in rows_at.items() if end <= length), default=0)
        assert firsts(salvage(path)) == list(range(kept)), length


def test_pyarrow_reads_what_is_recorded_and_the_other_way_round(tmp_path: Path) -> None:
    path = stream(tmp_path, [[row(0)], [row(1)]])
    with pa.ipc.open_stream(path.read_bytes()) as reader:
        assert firsts(reader.read_all()) == [0, 1]
    with (
        (tmp_path / "reserved-b.arrows").open("wb") as file,
        pa.ipc.new_stream(file, RESERVED) as writer,
    ):
        writer.write_table(from_rows("reserved", [{"first": 9}]))
    assert firsts(salvage(tmp_path / "reserved-b.arrows")) == [9]


@pytest.mark.parametrize("damage", ["zeroed", "shuffled", "appended", "headless", "text"])
def test_a_stream_whose_bytes_were_changed_is_no_evidence(
    whole: tuple[Path, bytes], damage: str
) -> None:
    path, data = whole
    second = list(frames(memoryview(data)))[1]
    changed = {
        "zeroed": data[: second.start] + bytes(second.end - second.start) + data[second.end :],
        "shuffled": data[:8] + bytes(random.Random(1).sample(data[8:], len(data) - 8)),
        "appended": data + b"more",
        "headless": data[8:],
        "text": b"name: not a table\n",
    }[damage]
    path.write_bytes(changed)
    with pytest.raises(TableError, match=r"reserved\.arrows is damaged .*restore it"):
        salvage(path)


def test_any_changed_byte_is_noticed_or_leaves_a_table(whole: tuple[Path, bytes]) -> None:
    path, data = whole
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xA5]) + data[at + 1 :])
        try:
            table = salvage(path)
        except TableError:
            continue
        table.validate(full=True)


def test_a_stream_without_its_schema_is_no_stream(whole: tuple[Path, bytes]) -> None:
    path, data = whole
    schema, *_ = frames(memoryview(data))
    path.write_bytes(data[schema.end :])
    with pytest.raises(TableError, match="damaged"):
        salvage(path)
    path.write_bytes(data[: schema.end] + data)  # two schemas
    with pytest.raises(TableError, match="in the middle of it"):
        salvage(path)


@pytest.mark.parametrize(
    "columns",
    [
        [("first", pa.int64())],
        [("first", pa.int32()), ("count", pa.int64()), ("source", pa.string())],
    ],
)
def test_another_schema_is_refused(tmp_path: Path, columns: list[tuple[str, pa.DataType]]) -> None:
    schema = pa.schema(columns)
    path = tmp_path / "reserved.arrows"
    path.write_bytes(schema.serialize().to_pybytes() + END)
    with pytest.raises(TableError, match=r"other columns .*judge it with the version that"):
        salvage(path)
    pq.write_table(schema.empty_table(), tmp_path / "reserved.parquet")
    path.unlink()
    with pytest.raises(TableError, match=r"reserved\.parquet has other columns"):
        read_folder(tmp_path)


def test_a_file_of_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sums.parquet").write_bytes(b"")
    with pytest.raises(TableError, match="no table is called 'sums'"):
        read_folder(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_damage(data: bytes) -> None:
    for start in (b"", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff" + struct.pack("<i", 16)):
        try:
            found = list(frames(memoryview(start + data)))
        except DamagedStream:
            continue
        assert all(one.start < one.end <= len(start + data) for one in found)


def test_a_tail_sees_every_batch_once_while_the_stream_grows(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "reserved-load.arrows")
    assert list(tail.new()) == []
    with Recorder(tmp_path, "reserved", "load") as recorder:
        assert list(tail.new()) == []
        seen: list[int] = []
        for n in range(5):
            recorder.append(row(n))
            assert list(tail.new()) == []  # not flushed
            recorder.flush()
            for batch in tail.new():
                seen += firsts(pa.Table.from_batches([batch]))
        assert seen == [0, 1, 2, 3, 4]
    assert list(tail.new()) == []


def test_a_tail_waits_for_the_rest_of_a_batch(whole: tuple[Path, bytes], tmp_path: Path) -> None:
    _, data = whole
    growing = tmp_path / "reserved-probe.arrows"
    tail = Tail(growing)
    seen: list[int] = []
    for length in range(0, len(data) + 1, 5):
        growing.write_bytes(data[:length])
        for batch in tail.new():
            seen += firsts(pa.Table.from_batches([batch]))
    growing.write_bytes(data)
    for batch in tail.new():
        seen += firsts(pa.Table.from_batches([batch]))
    assert seen == list(range(6))


def test_a_tail_of_something_else_says_so(tmp_path: Path) -> None:
    path = tmp_path / "reserved.arrows"
    tail = Tail(path)
    path.write_bytes(b"no stream at all")
    with pytest.raises(TableError, match="damaged"):
        list(tail.new())


def test_sealing_gathers_the_streams_of_a_table(tmp_path: Path) -> None:
    stream(tmp_path, [[row(0)]], "load")
    stream(tmp_path, [[row(1)]], "probe", end=False)
    seal(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reserved.parquet"]
    assert firsts(read_folder(tmp_path)["reserved"]) == [0, 1]


def test_sealing_again_changes_nothing(tmp_path: Path) -> None:
    stream(tmp_path, [[row(0)]], "load")
    seal(tmp_path)
    before = (tmp_path / "reserved.parquet").read_bytes()
    seal(tmp_path)
    assert (tmp_path / "reserved.parquet").read_bytes() == before


@pytest.mark.parametrize("removed", [0, 1])
def test_a_seal_that_was_killed_loses_no_row_and_counts_none_twice(
    tmp_path: Path, removed: int
) -> None:
    paths = [stream(tmp_path, [[row(n)]], f"s{n}") for n in range(2)]
    kept = [path.read_bytes() for path in paths]
    seal(tmp_path)
    for path, data in list(zip(paths, kept, strict=True))[removed:]:
        path.write_bytes(data)  # killed before it removed these
    assert sorted(firsts(read_folder(tmp_path)["reserved"])) == [0, 1]
    seal(tmp_path)
    assert sorted(firsts(read_folder(tmp_path)["reserved"])) == [0, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["reserved.parquet"]


def test_a_stream_that_came_after_the_seal_is_added(tmp_path: Path) -> None:
    stream(tmp_path, [[row(0)]], "load")
    seal(tmp_path)
    stream(tmp_path, [[row(1)]], "audit")
    assert sorted(firsts(read_folder(tmp_path)["reserved"])) == [0, 1]
    seal(tmp_path)
    assert sorted(firsts(read_folder(tmp_path)["reserved"])) == [0, 1]


def test_a_damaged_stream_is_not_sealed_away(tmp_path: Path) -> None:
    path = stream(tmp_path, [[row(0)]])
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(TableError):
        seal(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["reserved.arrows"]


def test_a_half_written_seal_is_not_read(tmp_path: Path) -> None:
    stream(tmp_path, [[row(0)]])
    (tmp_path / "reserved.draft").write_bytes(b"PAR1 half")
    assert firsts(read_folder(tmp_path)["reserved"]) == [0]


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -20])
def test_a_truncated_parquet_is_damaged(tmp_path: Path, cut: int) -> None:
    write_sealed(tmp_path, "reserved", from_rows("reserved", [{"first": n} for n in range(500)]))
    path = tmp_path / "reserved.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TableError, match=r"reserved\.parquet is damaged .*restore it"):
        read_folder(tmp_path)


def test_a_parquet_with_a_changed_page_is_noticed(tmp_path: Path) -> None:
    write_sealed(tmp_path, "reserved", from_rows("reserved", [{"first": n} for n in range(500)]))
    path = tmp_path / "reserved.parquet"
    data = path.read_bytes()
    rng = random.Random(3)
    noticed = 0
    for _ in range(60):
        at = rng.randrange(4, len(data) - 8)
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        try:
            read_folder(tmp_path)
        except TableError:
            noticed += 1
    assert noticed > 30  # the rest hit bytes of the footer that say nothing about the rows


def test_a_folder_with_an_equals_sign_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "seed=7"
    folder.mkdir()
    write_sealed(folder, "reserved", from_rows("reserved", [{"first": 1}]))
    assert read_folder(folder)["reserved"].schema == RESERVED


def test_rows_by_name(tmp_path: Path) -> None:
    table = from_rows("reserved", [{"first": 1}, {"source": "load", "count": 2}])
    assert table.to_pylist() == [
        {"first": 1, "count": None, "source": None},
        {"first": None, "count": 2, "source": "load"},
    ]
    with pytest.raises(TableError, match="reserved has no column frist"):
        from_rows("reserved", [{"frist": 1}])


def test_names_of_files() -> None:
    assert table_of(Path("/x/attempts-load.arrows")) == "attempts"
    assert table_of(Path("/x/psp_charges.parquet")) == "psp_charges"


def test_every_table_can_be_recorded_sealed_and_read(tmp_path: Path) -> None:
    for table in SCHEMAS:
        Recorder(tmp_path, table).close()
    seal(tmp_path)
    found = read_folder(tmp_path)
    assert {name: table.schema for name, table in found.items()} == SCHEMAS

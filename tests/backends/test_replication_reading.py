"""What `pg_waldump` says of a log: where it ends, and whether it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from payresil.backends.embedded.replication.positions import SEGMENT_BYTES, Segment, position
from payresil.backends.embedded.replication.reading import Log, read_log
from payresil.core.protocols import BackupDamaged, EnvironmentBroke

_COMMIT = (
    "rmgr: Transaction len (rec/tot): 34/34, tx: 743, lsn: 0/02000100, prev 0/020000E8, "
    "desc: COMMIT 2026-01-02 03:04:05.678901 UTC; inval msgs: catcache 7\n"
)
_ABORT = _COMMIT.replace("COMMIT", "ABORT").replace("05.678901", "04.000000")
_LAST_US = 1767323045678901


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Segments 2 and 3 of the first timeline; there is something at the beginning of each."""
    for number in (2, 3):
        with (tmp_path / Segment(1, number).name).open("wb") as file:
            file.write(b"log")
            file.truncate(SEGMENT_BYTES)
    return tmp_path


def read(folder: Path, error: str, *, told: str = "", start: int = 2 * SEGMENT_BYTES + 40) -> Log:
    return read_log(folder, 1, start, lambda _: f"{told}pg_waldump: error: {error}\n")


@pytest.mark.parametrize(
    "error",
    [
        "error in WAL record at 0/3000110: invalid record length at 0/3002000: "
        "expected at least 24, got 0",
        "error in WAL record at 0/3000110: invalid magic number 0000 in WAL segment "
        "000000010000000000000003, LSN 0/3002000, offset 8192",
    ],
)
def test_it_ends_where_nothing_more_was_written(folder: Path, error: str) -> None:
    log = read(folder, error, told=_COMMIT + _ABORT)
    assert log == Log(timeline=1, end=position("0/3002000"), last_us=_LAST_US)


def test_it_may_end_with_a_segment(folder: Path) -> None:
    log = read_log(folder, 1, 2 * SEGMENT_BYTES + 40, lambda _: _COMMIT)
    assert log == Log(timeline=1, end=4 * SEGMENT_BYTES, last_us=_LAST_US)


def test_a_segment_that_is_missing_is_named(folder: Path) -> None:
    (folder / Segment(1, 2).name).unlink()
    with pytest.raises(BackupDamaged, match="lacks 000000010000000000000002, which is needed"):
        read(folder, "not asked")


def test_a_segment_that_is_missing_in_between_is_named(folder: Path) -> None:
    (folder / Segment(1, 5).name).write_bytes(bytes(SEGMENT_BYTES))
    with pytest.raises(BackupDamaged, match="lacks 000000010000000000000004, which is needed"):
        read(folder, "not asked")


def test_a_hole_is_not_the_end(folder: Path) -> None:
    error = "error in WAL record at 0/2000110: invalid record length at 0/2000200: " + (
        "expected at least 24, got 0"
    )
    with pytest.raises(BackupDamaged, match="damaged after 0/2000028 on timeline 1: error in"):
        read(folder, error)


def test_zeros_in_the_middle_of_the_last_segment_are_not_the_end(folder: Path) -> None:
    with (folder / Segment(1, 3).name).open("r+b") as file:
        file.seek(0x4000)
        file.write(b"more")
    error = "error in WAL record at 0/3000110: invalid record length at 0/3002000: " + (
        "expected at least 24, got 0"
    )
    with pytest.raises(BackupDamaged, match="is damaged"):
        read(folder, error)


def test_a_damaged_record_is_told(folder: Path) -> None:
    error = "error in WAL record at 0/3000110: incorrect resource manager data checksum"
    with pytest.raises(BackupDamaged, match="incorrect resource manager data checksum"):
        read(folder, error)


def test_a_log_goes_on_with_the_next_timeline(folder: Path) -> None:
    (folder / "00000002.history").write_text("1\t0/3000100\tno recovery target specified\n")
    (folder / Segment(2, 3).name).write_bytes(bytes(SEGMENT_BYTES))
    asked = []

    def dump(arguments: list[str]) -> str:
        asked.append(" ".join(arguments[1:]))
        if "000000010000000000000003" in arguments:
            return _COMMIT
        return (
            "pg_waldump: error: error in WAL record at 0/3000100: invalid record length at "
            "0/3000200: expected at least 24, got 0"
        )

    log = read_log(folder, 1, position("0/2000028"), dump)
    assert log == Log(timeline=2, end=position("0/3000200"), last_us=_LAST_US)
    assert asked == [
        "--start=0/2000028 --end=0/3000100 --rmgr=Transaction "
        "000000010000000000000002 000000010000000000000003",
        "--start=0/3000100 --rmgr=Transaction 000000020000000000000003 000000020000000000000003",
    ]


def test_a_timeline_of_which_nothing_has_come_yet(folder: Path) -> None:
    (folder / "00000002.history").write_text("1\t0/3000100\tno recovery target specified\n")
    log = read_log(folder, 1, position("0/2000028"), lambda _: _COMMIT)
    assert log == Log(timeline=2, end=position("0/3000100"), last_us=_LAST_US)


def test_a_timeline_that_ended_must_be_whole(folder: Path) -> None:
    (folder / "00000002.history").write_text("1\t0/3000100\tno recovery target specified\n")
    with pytest.raises(BackupDamaged, match="damaged after 0/2000028 on timeline 1: anything"):
        read(folder, "anything")


def test_another_lineage_needs_another_base_backup(folder: Path) -> None:
    (folder / "00000003.history").write_text("2\t0/3000100\tno recovery target specified\n")
    with pytest.raises(EnvironmentBroke, match="timeline 3, which did not come from timeline 1"):
        read(folder, "")

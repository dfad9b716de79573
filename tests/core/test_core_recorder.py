from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pyarrow as pa
import pytest

from payresil.core.tables import Flusher, Recorder, TableError, Tail, read_folder, salvage


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Files of this process cannot grow beyond so many bytes, as on a full disk."""
    limit = 3000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_rows_are_in_order_and_flushed_by_the_batch(tmp_path: Path) -> None:
    with Recorder(tmp_path, "reserved", batch=10) as recorder:
        for n in range(25):
            recorder.append((n, 1, "load"))
        assert salvage(recorder.path).num_rows == 20
        recorder.flush()
        assert salvage(recorder.path).num_rows == 25
    table = read_folder(tmp_path)["reserved"]
    assert table.column("first").to_pylist() == list(range(25))


def test_no_row_of_any_thread_is_lost(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "reserved", batch=7)
    flusher = Flusher(recorder, interval_s=0.001)

    def work(source: str) -> None:
        for n in range(2000):
            recorder.append((n, 1, source))

    threads = [threading.Thread(target=work, args=(f"t{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flusher.close()
    rows = salvage(recorder.path).to_pylist()
    assert len(rows) == 8000
    for k in range(4):
        mine = [row["first"] for row in rows if row["source"] == f"t{k}"]
        assert mine == list(range(2000))


def test_a_stream_that_is_there_stays(tmp_path: Path) -> None:
    Recorder(tmp_path, "reserved", "load").close()
    with pytest.raises(FileExistsError):
        Recorder(tmp_path, "reserved", "load")


def test_closing_twice_is_as_good_as_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "reserved")
    recorder.close()
    recorder.close()
    assert salvage(recorder.path).num_rows == 0


@pytest.mark.parametrize("row", [(1, 2), (1, 2, "load", 4), ("one", 2, "load"), (2**70, 2, "load")])
def test_a_row_that_does_not_fit_is_an_error_and_leaves_the_stream_whole(
    tmp_path: Path, row: tuple[object, ...]
) -> None:
    recorder = Recorder(tmp_path, "reserved")
    recorder.append((1, 1, "load"))
    recorder.flush()
    recorder.append(row)
    with pytest.raises((pa.ArrowException, ValueError, TypeError, OverflowError)):
        recorder.flush()
    recorder.append((2, 1, "load"))
    recorder.close()
    assert salvage(recorder.path).column("first").to_pylist() == [1, 2]


def test_a_full_disk_is_an_error_and_leaves_whole_batches(tmp_path: Path, small_disk: int) -> None:
    recorder = Recorder(tmp_path, "reserved")
    written = 0

    def fill() -> None:
        nonlocal written
        for n in range(100):
            recorder.append((n, 1, "load"))
            recorder.flush()
            written += 1

    with pytest.raises(OSError, match="File too large"):
        fill()
    with pytest.raises(OSError, match="File too large"):  # and it does not go on after a gap
        recorder.close()
    assert 0 < written < 100
    assert recorder.path.stat().st_size <= small_disk
    assert salvage(recorder.path).column("first").to_pylist() == list(range(written))


class Watched(Recorder):
    """Says when it was flushed."""

    flushed: threading.Event

    def flush(self) -> None:
        super().flush()
        self.flushed.set()


def test_a_flusher_tells_what_went_wrong_in_its_thread(tmp_path: Path, small_disk: int) -> None:
    bad, good = Recorder(tmp_path, "reserved", "bad"), Watched(tmp_path, "reserved", "good")
    good.flushed = threading.Event()
    good.append((1, 1, "load"))
    bad.append((1, 1, "load" * small_disk))
    flusher = Flusher(bad, good, interval_s=0.001)
    assert good.flushed.wait(30)  # by the thread, after the bad one had failed
    with pytest.raises(TableError, match=r"rows could not be recorded: .*File too large"):
        flusher.close()
    assert salvage(good.path).num_rows == 1
    assert salvage(bad.path).num_rows == 0


def test_a_flusher_tells_what_goes_wrong_at_its_end(tmp_path: Path, small_disk: int) -> None:
    bad, good = (Recorder(tmp_path, "reserved", shard) for shard in ("bad", "good"))
    flusher = Flusher(bad, good, interval_s=3600)
    good.append((1, 1, "load"))
    bad.append((1, 1, "load" * small_disk))
    with pytest.raises(TableError, match="rows could not be recorded"):
        flusher.close()
    assert salvage(good.path).num_rows == 1  # every recorder was closed all the same


def test_a_killed_writer_leaves_what_it_flushed(tmp_path: Path) -> None:
    code = dedent("""
        import os, signal, sys
        from pathlib import Path
        from payresil.core.tables import Recorder

        recorder = Recorder(Path(sys.argv[1]), "reserved", fsync=True)
        for n in range(10):
            recorder.append((n, 1, "load"))
            recorder.flush()
        recorder.append((10, 1, "load"))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert salvage(tmp_path / "reserved.arrows").column("first").to_pylist() == list(range(10))
    assert sum(batch.num_rows for batch in Tail(tmp_path / "reserved.arrows").new()) == 10

"""What recording one attempt costs the load generator, against other ways to keep a row.

    python -m benchmarks.recording

Method: CPU time of one thread, the best of several rounds, in microseconds a row. `build` makes the
row from its values, as the client does, as many as are flushed at once and then let go, so that
their memory is used again; `append` hands it to the recorder; `flush` is the row's
share of turning a batch into Arrow and writing it, which the generator does in its own thread. So
many rows a flush are those of 250 ms at 200, 1,000 and 4,000 attempts a second. The garbage
collector is set as in the generator. Peers build and keep the same rows: a bare list, which nobody
else can read; lists of columns given to pyarrow and written the same way; a line of JSON each. A
ratio is of the peer's cost to that of `payresil` at the same number of rows.
"""

from __future__ import annotations

import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.record import table, write
from payresil.core.recorder import Recorder
from payresil.core.schemas import ATTEMPTS
from payresil.workloads.attempts import Attempt

BOUND_US = 1.0
_ROWS = 40_000
_ROUNDS = 5
_A_FLUSH = (50, 250, 1000)

Row = tuple[Any, ...]


def _values(n: int) -> Row:
    """The values of an attempt: some are new in every row, some the same in all, as in a run."""
    intent = f"65421aea-{n}"
    outcome, status, answer = ("ok", 201, "succeeded") if n % 8 else ("unknown", None, None)
    return (
        intent, n, "pay", 1 + (n % 8 == 1), "load", "checkout" if n % 5 else "impatient", "create",
        f"{intent}-pay", 100 + n % 4999, "eur", n * 1000, n * 1000 + 5, n * 1000 + 9_000_000,
        outcome, status, None if status else "timeout", answer, f"pay_01J9ZK7Q4M8C{n:08d}", False,
        "a", f"a/service.{1 + n % 2}",
    )  # fmt: skip


def _best_us(rounds: Callable[[], float]) -> float:
    return round(min(rounds() for _ in range(_ROUNDS)) / _ROWS * 1e6, 3)


def _timed(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def _build(values: Sequence[Row], a_flush: int) -> float:
    def work() -> None:
        for start in range(0, len(values), a_flush):
            _ = [Attempt(*row) for row in values[start : start + a_flush]]

    return _timed(work)


def _record(rows: Sequence[Row], a_flush: int) -> tuple[float, float]:
    """Seconds for appending all rows, and for flushing them."""
    appending = flushing = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        Recorder(Path(folder), "attempts", "load", batch=_ROWS + 1) as recorder,
    ):
        for start in range(0, len(rows), a_flush):
            batch = rows[start : start + a_flush]
            begun = time.thread_time()
            for row in batch:
                recorder.append(row)
            between = time.thread_time()
            recorder.flush()
            appending += between - begun
            flushing += time.thread_time() - between
    return appending, flushing


def _listed(rows: Sequence[Row], a_flush: int) -> float:
    kept: list[Row] = []

    def work() -> None:
        for row in rows:
            kept.append(row)  # noqa: PERF402 - one by one, as they come

    return _timed(work)


def _by_column(rows: Sequence[Row], a_flush: int) -> float:
    with tempfile.TemporaryFile() as file, pa.ipc.new_stream(file, ATTEMPTS) as stream:

        def work() -> None:
            for start in range(0, len(rows), a_flush):
                columns: list[list[Any]] = [[] for _ in ATTEMPTS]
                for row in rows[start : start + a_flush]:
                    for column, value in zip(columns, row, strict=True):
                        column.append(value)
                arrays = [pa.array(c, f.type) for c, f in zip(columns, ATTEMPTS, strict=True)]
                stream.write_batch(pa.record_batch(arrays, schema=ATTEMPTS))

        return _timed(work)


def _json(rows: Sequence[Row], a_flush: int) -> float:
    names = ATTEMPTS.names
    with tempfile.TemporaryFile("w") as file:

        def work() -> None:
            for start in range(0, len(rows), a_flush):
                for row in rows[start : start + a_flush]:
                    file.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")
                file.flush()

        return _timed(work)


_PEERS: dict[str, Callable[[Sequence[Row], int], float]] = {
    "list.append": _listed,
    "pyarrow by column": _by_column,
    "json.dumps": _json,
}


def measure(a_flush: int) -> dict[str, Any]:
    """The cost of a row where so many are flushed at once."""
    values = [_values(n) for n in range(_ROWS)]
    rows = [Attempt(*row) for row in values]
    build = _best_us(lambda: _build(values, a_flush))
    append = _best_us(lambda: _record(rows, a_flush)[0])
    flush = _best_us(lambda: _record(rows, a_flush)[1])
    peers = {
        name: round(build + _best_us(partial(work, rows, a_flush)), 3)
        for name, work in _PEERS.items()
    }
    return {
        "rows_a_flush": a_flush,
        "build_us": build,
        "append_us": append,
        "flush_us": flush,
        "payresil_us": round(build + append + flush, 3),
        "peers_us": peers,
    }


def main() -> None:
    """Measure, print, and keep the figures."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    found = [measure(a_flush) for a_flush in _A_FLUSH]
    columns = ("rows a flush", "build", "append", "flush", f"payresil (bound {BOUND_US:g})")
    rows = [
        [
            figures["rows_a_flush"],
            *(f"{figures[f'{part}_us']:.3f}" for part in ("build", "append", "flush", "payresil")),
            *(
                f"{peer:.3f} ({peer / figures['payresil_us']:.2f}x)"
                for peer in figures["peers_us"].values()
            ),
        ]
        for figures in found
    ]
    print(table("Recording an attempt, µs of CPU a row", (*columns, *_PEERS), rows))
    print(write("recording", __doc__ or "", {"bound_us": BOUND_US, "by_flush": found}))


if __name__ == "__main__":
    main()

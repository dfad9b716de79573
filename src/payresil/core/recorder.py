"""Appending rows to a table while a run goes on."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from payresil.core.schemas import SCHEMAS
from payresil.core.stream_reader import STREAM, TableError
from payresil.core.streams import END

#: What pyarrow raises when a row does not fit its table, or the disk has no room.
_UNWRITABLE = (OSError, pa.ArrowException, ValueError, TypeError)


class Recorder:
    """Appends rows to one stream; safe to use from several threads.

    `append` costs a tuple and an append; `flush` turns what is pending into one batch.
    Call `flush` every 250 ms (or rely on `batch` rows), `close` at the end. A write that fails
    (a full disk) raises OSError, takes back what it half wrote, and fails all later ones: rows
    after a gap would be evidence of something that did not happen.
    """

    def __init__(
        self, folder: Path, table: str, shard: str = "", *, fsync: bool = False, batch: int = 4096
    ) -> None:
        """`fsync` makes every flush durable; `batch` rows are flushed at once.

        Raises:
            FileExistsError: when the stream is there already; it is evidence and stays.
        """
        self.schema = SCHEMAS[table]
        self.path = folder / f"{table}{'-' + shard if shard else ''}{STREAM}"
        self._row = pa.struct(list(self.schema))
        self._pending: deque[tuple[Any, ...]] = deque()
        self._lock = threading.Lock()
        self._batch = batch
        self._fsync = fsync
        self._failed: OSError | None = None
        self._file = self.path.open("xb", buffering=0)
        self._size = 0
        self._write(self.schema.serialize())

    def append(self, row: tuple[Any, ...]) -> None:
        """Add one row, its values in the order of the schema."""
        self._pending.append(row)
        if len(self._pending) >= self._batch:
            self.flush()

    def extend(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add many rows."""
        self._pending.extend(rows)
        if len(self._pending) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Write everything pending as one batch."""
        with self._lock:
            # Taken one by one: a row that another thread appends meanwhile is never lost.
            rows = [self._pending.popleft() for _ in range(len(self._pending))]
            if rows:
                # All columns in one call: a call for each costs more than what it converts.
                table = pa.array(rows, self._row)
                self._write(pa.RecordBatch.from_struct_array(table).serialize())

    def close(self) -> None:
        """Flush and end the stream."""
        try:
            self.flush()
        finally:
            with self._lock:
                if not self._file.closed:
                    self._end()

    def _end(self) -> None:
        try:
            self._write(pa.py_buffer(END))
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _write(self, message: pa.Buffer) -> None:
        """Append one message, all of it or, where that fails, nothing."""
        if self._failed is not None:
            raise self._failed
        rest = memoryview(message)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            if self._fsync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._failed = error
            self._file.truncate(self._size)
            raise
        self._size += len(message)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Flusher:
    """A thread that flushes recorders every `interval_s` seconds until closed."""

    def __init__(self, *recorders: Recorder, interval_s: float = 0.25) -> None:
        self._recorders = recorders
        self._stop = threading.Event()
        self._interval_s = interval_s
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            for recorder in self._recorders:
                try:
                    recorder.flush()
                except _UNWRITABLE as error:  # in a thread: `close` tells it to someone
                    self._error = self._error or error

    def close(self) -> None:
        """Stop, and close every recorder.

        Raises:
            TableError: when rows could not be written, now or earlier.
        """
        self._stop.set()
        self._thread.join()
        for recorder in self._recorders:
            try:
                recorder.close()
            except _UNWRITABLE as error:
                self._error = self._error or error
        if self._error is not None:
            raise TableError(f"rows could not be recorded: {self._error}") from self._error

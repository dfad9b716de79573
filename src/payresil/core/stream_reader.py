"""Reading tables that are still streams: all of one at its end, or what was added since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from payresil.core.schemas import SCHEMAS
from payresil.core.streams import DamagedStream, Frame, frames

STREAM = ".arrows"

#: What reading raises where bytes are not what was written.
UNREADABLE = (OSError, pa.ArrowException, ValueError)


class TableError(Exception):
    """A table of a run that is missing, damaged or of another schema."""


def salvage(path: Path) -> pa.Table:
    """Every complete batch of a stream that was ended, or cut short wherever it was.

    Raises:
        TableError: when it is of another schema, or damaged in any other way.
    """
    schema = schema_of(path)
    try:
        data = pa.py_buffer(path.read_bytes())
        found = frames(memoryview(data))
        first = next(found, None)
        if first is not None:  # else not even the schema is whole, and no row can be lost
            same_schema(path, pa.ipc.read_schema(_cut(data, first)), schema)
        batches = [_batch(_cut(data, frame), schema) for frame in found]
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
    except UNREADABLE as error:
        raise damaged(path, error) from error
    return table


def _cut(data: pa.Buffer, frame: Frame) -> pa.Buffer:
    return data.slice(frame.start, frame.end - frame.start)


def _batch(message: pa.Buffer, schema: pa.Schema) -> pa.RecordBatch:
    read = pa.ipc.read_message(message)
    if read.type != "record batch":
        raise DamagedStream(f"there is a {read.type} in the middle of it")
    return pa.ipc.read_record_batch(read, schema)


def damaged(path: Path, error: Exception) -> TableError:
    """The error of a file whose bytes are not what was written."""
    return TableError(f"{path} is damaged ({error}); restore it from where it was recorded")


class Tail:
    """Reads the batches that were added to a growing stream since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._schema = schema_of(path)
        self._offset = 0
        self._begun = False

    def new(self) -> Iterator[pa.RecordBatch]:
        """The complete batches not seen yet; none when the file is not there yet.

        Raises:
            TableError: when the stream is damaged, or of another schema.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = pa.py_buffer(file.read())
        except FileNotFoundError:
            return  # the writer has not begun, or the stream was sealed
        begin = self._offset
        try:
            for frame in frames(memoryview(data)):
                message = _cut(data, frame)
                if self._begun:
                    yield _batch(message, self._schema)
                else:
                    same_schema(self._path, pa.ipc.read_schema(message), self._schema)
                    self._begun = True
                self._offset = begin + frame.end
        except UNREADABLE as error:
            raise damaged(self._path, error) from error


def table_of(path: Path) -> str:
    """The table a file of a run folder holds: ``attempts-load.arrows`` is ``attempts``."""
    return path.name.split(".")[0].split("-")[0]


def schema_of(path: Path) -> pa.Schema:
    """The columns that a file of a run folder must have.

    Raises:
        TableError: when its name is no table's.
    """
    table = table_of(path)
    if table not in SCHEMAS:
        raise TableError(f"{path.name}: no table is called {table!r}")
    return SCHEMAS[table]


def same_schema(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    """Raise `TableError` when a file has other columns than it should."""
    if not found.equals(wanted):
        columns = ", ".join(f"{each.name} {each.type}" for each in found)
        raise TableError(
            f"{path.name} has other columns than this version of payresil writes "
            f"({columns}): judge it with the version that recorded it"
        )

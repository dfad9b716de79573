"""A run's tables: recording them, sealing them, and the one opener that reads them.

While running, a table is one or more Arrow IPC streams (``<table>[-<shard>].arrows``); one cut
short keeps every batch that was complete. Sealing writes ``<table>.parquet`` beside them, then
removes the streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from payresil.core.recorder import Flusher, Recorder
from payresil.core.schemas import SCHEMAS
from payresil.core.sealed import Sealed, check_seal, open_parquet, write_parquet
from payresil.core.stream_reader import (
    STREAM,
    UNREADABLE,
    TableError,
    Tail,
    damaged,
    salvage,
    same_schema,
    schema_of,
    table_of,
)

__all__ = [
    "SEALED",
    "STREAM",
    "Flusher",
    "Recorder",
    "TableError",
    "Tail",
    "from_rows",
    "open_folder",
    "read_folder",
    "row_counts",
    "salvage",
    "seal",
    "table_of",
    "write_sealed",
]

SEALED = ".parquet"


def seal(folder: Path) -> None:
    """Turn the streams of a folder into Parquet; doing it again changes nothing.

    Whenever it is killed, every row is in the folder, and is read once.
    """
    for table, paths in _streams_of(folder).items():
        target = folder / f"{table}{SEALED}"
        before = _read_sealed(target) if target.exists() else None
        done = frozenset() if before is None else before.streams
        new = [path for path in paths if path.name not in done]
        if new:
            parts = [] if before is None else [before.rows()]
            parts += [salvage(path) for path in new]
            names = done.union(path.name for path in new)
            write_sealed(folder, table, pa.concat_tables(parts), streams=names)
        for path in paths:
            path.unlink()


def write_sealed(folder: Path, table: str, rows: pa.Table, *, streams: Iterable[str] = ()) -> None:
    """Write a whole table at once, never half of it under its final name.

    `streams` are the names of the files that the rows came from.
    """
    write_parquet(folder / f"{table}{SEALED}", rows.cast(SCHEMAS[table]), streams)


def from_rows(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table from dicts; columns that a row leaves out are null, unknown ones an error."""
    schema = SCHEMAS[table]
    for row in rows:
        unknown = row.keys() - set(schema.names)
        if unknown:
            raise TableError(f"{table} has no column {', '.join(sorted(unknown))}")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def read_folder(folder: Path) -> dict[str, pa.Table]:
    """Every table of a run folder, sealed or not, in memory.

    Raises:
        TableError: for a damaged table; the message names the file and what to do.
    """
    return {
        name: table.rows() if isinstance(table, Sealed) else table
        for name, table in open_folder(folder).items()
    }


def open_folder(folder: Path) -> dict[str, pa.Table | Sealed]:
    """Every table of a run folder: the sealed ones to be read when asked for, others in memory.

    Raises:
        TableError: for a damaged table; the message names the file and what to do.
    """
    tables: dict[str, pa.Table | Sealed] = {}
    done: set[str] = set()
    for path in sorted(folder.glob(f"*{SEALED}")):
        sealed = _read_sealed(path)
        tables[table_of(path)] = sealed
        done |= sealed.streams
    for name, paths in _streams_of(folder).items():
        parts = [salvage(path) for path in paths if path.name not in done]
        before = tables.get(name)
        if isinstance(before, Sealed) and parts:
            parts.insert(0, before.rows())
        if parts:
            tables[name] = pa.concat_tables(parts)
    return tables


def row_counts(folder: Path) -> dict[str, int]:
    """Rows of every sealed table of a folder."""
    return {
        table_of(path): pq.read_metadata(path).num_rows
        for path in sorted(folder.glob(f"*{SEALED}"))
    }


def _streams_of(folder: Path) -> dict[str, list[Path]]:
    """The streams in a folder, by table."""
    streams: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*{STREAM}")):
        streams.setdefault(table_of(path), []).append(path)
    return streams


def _read_sealed(path: Path) -> Sealed:
    schema = schema_of(path)
    try:
        sealed = open_parquet(path)
        same_schema(path, sealed.schema, schema)
        check_seal(path)
    except UNREADABLE as error:
        raise damaged(path, error) from error
    return sealed

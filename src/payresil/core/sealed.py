"""Sealed tables: Parquet files that are there whole or not at all, and that notice damage."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_STREAMS = b"payresil.streams"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed table, and the names of the streams whose rows are in it."""

    rows: pa.Table
    streams: frozenset[str]


def write_parquet(path: Path, rows: pa.Table, streams: Iterable[str]) -> None:
    """Write `rows` under `path`, durable before it has that name.

    The names of `streams` are kept in the file: whoever finds one of them beside it, because the
    process that sealed it was killed, knows that its rows are not to be counted again.
    """
    draft = path.with_suffix(".draft")
    noted = rows.replace_schema_metadata({_STREAMS: json.dumps(sorted(streams)).encode()})
    pq.write_table(noted, draft, compression="zstd", write_page_checksum=True)
    _sync(draft, os.O_RDONLY)
    draft.rename(path)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def read_parquet(path: Path) -> Sealed:
    """Read what `write_parquet` wrote.

    Raises:
        OSError, pyarrow.ArrowException, ValueError: when it is damaged.
    """
    # not `read_table`, which would make columns of a folder that is called a=b
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        rows = file.read()
    rows.validate(full=True)
    streams = json.loads((rows.schema.metadata or {}).get(_STREAMS, b"[]"))
    return Sealed(rows.replace_schema_metadata(None), frozenset(map(str, streams)))


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

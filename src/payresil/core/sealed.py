"""Sealed tables: Parquet files that are there whole or not at all, and that notice damage.

Between its pages and its footer, where readers of Parquet never look, a sealed file holds a mark
and the CRC-32 of all its other bytes. So a look at the bytes shows that they are those that were
written, and columns can be read later, and only those that somebody asks for.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from payresil.core.pages import UnknownLayout, texts

_STREAMS = b"payresil.streams"
_MARK = b"payresil"
_SEAL = len(_MARK) + 4  # the mark, and the checksum in little-endian
_MAGIC = b"PAR1"
_TAIL = 4 + len(_MAGIC)  # the length of the footer in little-endian, and the magic
_CHUNK = 1 << 20
_PATTERN = re.compile(r"[*?\[\]{}\\]")

#: Small enough for several threads to share a table, large enough for dictionaries to pay.
_ROW_GROUP = 1 << 18


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed table whose bytes are those that were written; rows are read when asked for."""

    path: Path
    schema: pa.Schema
    metadata: pq.FileMetaData
    streams: frozenset[str]  # names of the streams whose rows are in it

    @property
    def num_rows(self) -> int:
        """How many rows it has."""
        rows: int = self.metadata.num_rows
        return rows

    @property
    def name(self) -> str:
        """Its full name, by which others can read it."""
        return str(self.path.absolute())

    @property
    def is_plainly_named(self) -> bool:
        """Whether nobody takes its name for a pattern of names."""
        return not _PATTERN.search(self.name)

    def rows(self) -> pa.Table:
        """All of it, in memory."""
        # not `read_table`, which would make columns of a folder that is called a=b
        with pq.ParquetFile(self.path, metadata=self.metadata) as file:
            return file.read().replace_schema_metadata(None)

    def dataset(self) -> ds.Dataset:
        """The same as something that can be asked for some columns and some rows."""
        repeated = [name for name in self.schema.names if self._repeats(name)]
        form = ds.ParquetFileFormat(dictionary_columns=repeated)
        return ds.dataset(self.name, format=form)

    def pieces(self, column: str) -> Iterator[pa.ChunkedArray]:
        """One column, piece by piece; where its values repeat, as dictionaries."""
        repeated = [column] if self._repeats(column) else []
        with pq.ParquetFile(self.path, metadata=self.metadata, read_dictionary=repeated) as file:
            for group in range(self.metadata.num_row_groups):
                yield file.read_row_group(group, columns=[column], use_threads=False)[column]

    def texts(self, column: str) -> Iterator[pa.Buffer]:
        """The pages that hold the text of a column, as they are.

        Raises:
            UnknownLayout: when it holds none, or it is stored in another way.
        """
        if not pa.types.is_string(self.schema.field(column).type):
            raise UnknownLayout(f"{column} holds no text")
        with self.path.open("rb") as file:
            for chunk in self._chunks(column):
                yield from texts(file, chunk)

    def greatest(self, column: str) -> Any:
        """The greatest value of a column; None when it has none."""
        values = [chunk.statistics.max for chunk in self._chunks(column) if chunk.statistics]
        return max((value for value in values if value is not None), default=None)

    def _repeats(self, column: str) -> bool:
        """Whether text takes less than a byte a value, so that it can only be a dictionary's."""
        if not pa.types.is_string(self.schema.field(column).type):
            return False
        chunks = list(self._chunks(column))
        size = sum(chunk.total_uncompressed_size for chunk in chunks)
        return bool(size < sum(chunk.num_values for chunk in chunks))

    def _chunks(self, column: str) -> Iterator[pq.ColumnChunkMetaData]:
        at = self.schema.get_field_index(column)
        for group in range(self.metadata.num_row_groups):
            yield self.metadata.row_group(group).column(at)


def write_parquet(path: Path, rows: pa.Table, streams: Iterable[str]) -> None:
    """Write `rows` under `path`, durable before it has that name.

    The names of `streams` are kept in the file: whoever finds one of them beside it, because the
    process that sealed it was killed, knows that its rows are not to be counted again.
    """
    draft = path.with_suffix(".draft")
    noted = rows.replace_schema_metadata({_STREAMS: json.dumps(sorted(streams)).encode()})
    pq.write_table(noted, draft, compression="zstd", row_group_size=_ROW_GROUP)
    _put_seal(draft)
    _sync(draft, os.O_RDONLY)
    draft.rename(path)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def open_parquet(path: Path) -> Sealed:
    """Open what `write_parquet` wrote; only its footer is kept.

    Raises:
        OSError, pyarrow.ArrowException, ValueError: when it is damaged.
    """
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    streams = json.loads((schema.metadata or {}).get(_STREAMS, b"[]"))
    return Sealed(path, schema.remove_metadata(), metadata, frozenset(map(str, streams)))


def check_seal(path: Path) -> None:
    """Make sure that a file holds the bytes that `write_parquet` wrote.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is damaged.
    """
    with path.open("rb") as file:
        at = _footer_at(file) - _SEAL
        if at < len(_MAGIC):
            raise ValueError("it has no seal")
        file.seek(at)
        seal = file.read(_SEAL)
        if seal[: len(_MARK)] != _MARK:
            raise ValueError("it has no seal")
        if int.from_bytes(seal[len(_MARK) :], "little") != _checksum(file, at, at + _SEAL):
            raise ValueError("its bytes are not those that were sealed")


def _put_seal(path: Path) -> None:
    """Insert the seal of a Parquet file that has none."""
    with path.open("r+b") as file:
        at = _footer_at(file)
        checksum = _checksum(file, at, at)
        file.seek(at)
        footer = file.read()
        file.seek(at)
        file.write(_MARK + checksum.to_bytes(4, "little") + footer)


def _footer_at(file: BinaryIO) -> int:
    """Where the footer of a Parquet file begins."""
    size = file.seek(0, os.SEEK_END)
    if size < len(_MAGIC) + _TAIL:
        raise ValueError(f"it has only {size} bytes")
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    at = size - _TAIL - int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or at < len(_MAGIC):
        raise ValueError("it has no footer")
    return at


def _checksum(file: BinaryIO, end: int, start: int) -> int:
    """The CRC-32 of everything before `end` and from `start` on."""
    file.seek(0)
    checksum = 0
    for chunk in _chunks(file, end):
        checksum = zlib.crc32(chunk, checksum)
    file.seek(start)
    return zlib.crc32(file.read(), checksum)


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(_CHUNK, size))):
        size -= len(chunk)
        yield chunk


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

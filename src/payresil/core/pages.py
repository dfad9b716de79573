"""What the text of a Parquet column is stored as: its pages, without making values of them.

Layout (Apache Parquet format, `parquet.thrift`): a column chunk is a row of pages, each a header in
Thrift's compact protocol and then its body, compressed. Text stands in the body value by value,
each behind its length, or once in a dictionary, to which pages of numbers refer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

# fields of a page's header, and of the header of a page of data or a dictionary in it
_KIND, _SIZE, _COMPRESSED_SIZE, _DATA, _DICTIONARY = 1, 2, 3, 5, 7
_ENCODING = 2

_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_PLAIN = 0
_REFERRING = frozenset({2, 8})  # to a dictionary, which stands before them

_TRUE, _FALSE, _BINARY, _STRUCT = 1, 2, 8, 12
_INTEGERS = frozenset({4, 5, 6})


class UnknownLayout(ValueError):
    """Pages that are written in a way that is not read here; their values can be."""


def texts(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[pa.Buffer]:
    """All text of a column chunk, with lengths in between; what repeats once, if it is stored so.

    Raises:
        UnknownLayout: when it is stored in another way.
    """
    if chunk.compression != "ZSTD":
        raise UnknownLayout(f"it is compressed by {chunk.compression}")
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    file.seek(start)
    data = file.read(chunk.total_compressed_size)
    at = 0
    while at < len(data):
        header, body = _struct(data, at)
        at = body + header[_COMPRESSED_SIZE]
        if _holds_text(header):
            page = pa.py_buffer(data).slice(body, header[_COMPRESSED_SIZE])
            yield pa.decompress(page, header[_SIZE], "zstd")


def _holds_text(header: dict[int, Any]) -> bool:
    kind = header[_KIND]
    if kind == _DICTIONARY_PAGE and header[_DICTIONARY][_ENCODING] in {_PLAIN, *_REFERRING}:
        return True
    if kind != _DATA_PAGE or header[_DATA][_ENCODING] not in {_PLAIN, *_REFERRING}:
        raise UnknownLayout(f"it has a page {header}")
    return bool(header[_DATA][_ENCODING] == _PLAIN)


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct in the compact protocol, by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        kind, step = head & 0x0F, head >> 4
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, kind)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in {_TRUE, _FALSE}:
        return kind == _TRUE, at
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _STRUCT:
        return _struct(data, at)
    if kind == _BINARY:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    raise UnknownLayout(f"a header has a field of type {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Signed numbers alternate: 0, -1, 1, -2, …"""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at

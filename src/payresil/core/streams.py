"""Arrow IPC streams as bytes: which messages are whole, where one is cut short, what is damage.

pyarrow's reader says the same thing of a stream that a killed process left in the middle of a
batch and of one whose bytes were changed. Here they are told apart: the first is evidence up to
its last whole batch, the second is no evidence at all.

Layout (Apache Arrow columnar format, "Encapsulated message format"): 0xFFFFFFFF, the length of
the metadata as int32, the metadata (a flatbuffer, padded to 8 bytes), the body. A length of 0
ends the stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MARK = b"\xff\xff\xff\xff"
#: What ends a stream.
END = _MARK + bytes(4)
_HEAD = 8
#: The schema of the widest table takes 3 KB, a batch less.
_MAX_METADATA = 1 << 20
#: A batch holds what came in within 250 ms.
_MAX_BODY = 1 << 32


class DamagedStream(ValueError):
    """Bytes that no writer leaves behind, wherever it is stopped."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole message: from `start` to `end`, which is where the next one begins."""

    start: int
    end: int


def frames(data: memoryview, start: int = 0) -> Iterator[Frame]:
    """The whole messages of a stream from `start` on, until its end or where it is cut short.

    Raises:
        DamagedStream: for anything else.
    """
    while start < len(data):
        size = _metadata_size(data, start)
        if size is None:
            return
        if size == 0:
            if len(data) > start + _HEAD:
                raise DamagedStream("there is something after its end")
            return
        body = start + _HEAD + size
        if body > len(data):
            return
        end = body + _body_size(data[start + _HEAD : body])
        if end > len(data):
            return
        yield Frame(start, end)
        start = end


def _metadata_size(data: memoryview, start: int) -> int | None:
    """Length of the metadata of the message at `start`; None when it is cut short before."""
    head = bytes(data[start : start + _HEAD])
    if head[:4] != _MARK[: len(head)]:
        raise DamagedStream(f"no message begins at byte {start}")
    if len(head) < _HEAD:
        return None
    size: int = struct.unpack("<i", head[4:])[0]
    if not 0 <= size <= _MAX_METADATA or size % 8:
        raise DamagedStream(f"the message at byte {start} has {size} bytes of metadata")
    return size


def _body_size(metadata: memoryview) -> int:
    """The field ``bodyLength`` of a flatbuffer of type Message, its fourth."""
    try:
        table: int = struct.unpack_from("<I", metadata, 0)[0]
        fields = table - struct.unpack_from("<i", metadata, table)[0]
        length = struct.unpack_from("<H", metadata, fields)[0] if fields >= 0 else 0
        offset = struct.unpack_from("<H", metadata, fields + 10)[0] if length >= 12 else 0
        size: int = struct.unpack_from("<q", metadata, table + offset)[0] if offset else 0
    except struct.error as error:
        raise DamagedStream(f"a message cannot be read: {error}") from error
    if not 0 <= size <= _MAX_BODY:
        raise DamagedStream(f"a message claims a body of {size} bytes")
    return size

"""Positions in the write-ahead log, its segments and its timelines, as their files are named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SEGMENT_BYTES = 16 * 1024 * 1024

#: The name's end of a segment that is not complete.
PARTIAL = ".partial"

_SEGMENTS_PER_FILE_ID = (1 << 32) // SEGMENT_BYTES
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_HISTORY_LINE = re.compile(r"\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)")


def position(lsn: str) -> int:
    """Bytes from the beginning of the log, for ``1/2A`` as PostgreSQL writes it."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn(position: int) -> str:
    """How PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the log."""

    timeline: int
    number: int
    complete: bool = True

    @classmethod
    def holding(cls, timeline: int, position: int) -> Segment:
        """The one with the byte at this position."""
        return cls(timeline, position // SEGMENT_BYTES)

    @classmethod
    def named(cls, name: str) -> Segment | None:
        """The one with this file name; None where it is no segment's."""
        match = _SEGMENT.fullmatch(name)
        if match is None:
            return None
        timeline, file_id, number = (int(part, 16) for part in match.groups()[:3])
        return cls(timeline, file_id * _SEGMENTS_PER_FILE_ID + number, match[4] is None)

    @property
    def start(self) -> int:
        """Position of its first byte."""
        return self.number * SEGMENT_BYTES

    @property
    def end(self) -> int:
        """Position after its last byte."""
        return self.start + SEGMENT_BYTES

    @property
    def name(self) -> str:
        """Its file name, when it is complete."""
        file_id, number = divmod(self.number, _SEGMENTS_PER_FILE_ID)
        return f"{self.timeline:08X}{file_id:08X}{number:08X}"


def segments(folder: Path) -> dict[Path, Segment]:
    """The segments in a folder."""
    found = {file: Segment.named(file.name) for file in sorted(folder.iterdir())}
    return {file: segment for file, segment in found.items() if segment is not None}


@dataclass(frozen=True, slots=True)
class Lineage:
    """A timeline and those it came from: each ended where the next one began."""

    timeline: int
    ended: tuple[tuple[int, int], ...] = ()  # timeline, position; the oldest first

    @classmethod
    def of(cls, histories: Sequence[tuple[str, str]]) -> Lineage:
        """The newest of history files: name and content."""
        newest = max(histories, key=lambda each: timeline_of(each[0]) or 0, default=None)
        if newest is None:
            return cls(1)  # the first has no history
        name, text = newest
        lines = map(_HISTORY_LINE.match, text.splitlines())
        ended = tuple((int(line[1]), position(line[2])) for line in lines if line is not None)
        return cls(timeline_of(name) or 1, ended)

    def end(self, timeline: int) -> int | None:
        """Where a timeline ended; None for the newest. KeyError: it is not among them."""
        return None if timeline == self.timeline else dict(self.ended)[timeline]

    def holds(self, segment: Segment) -> bool:
        """Whether nothing in a segment lies beyond the end of its timeline.

        An incomplete one is written anew from its start, so it is its start that counts.
        """
        try:
            end = self.end(segment.timeline)
        except KeyError:
            return False
        return end is None or (segment.end <= end if segment.complete else segment.start < end)

    def sections(self, timeline: int, start: int) -> list[tuple[int, int, int | None]]:
        """The log from a position on: timeline, start, end; the last one has no end."""
        found: list[tuple[int, int, int | None]] = []
        for each, end in (*self.ended, (self.timeline, None)):
            if each >= timeline and (end is None or end > start):
                found.append((each, start, end))
                start = start if end is None else end
        return found


def timeline_of(name: str) -> int | None:
    """The timeline whose history a file of this name holds; None where it holds none."""
    match = _HISTORY.fullmatch(name)
    return None if match is None else int(match[1], 16)


def log_files(folder: Path) -> set[str]:
    """Names of the segments and histories in a folder, as they are when they are complete."""
    complete = {file.name.removesuffix(PARTIAL) for file in folder.iterdir()}
    return {name for name in complete if Segment.named(name) or timeline_of(name) is not None}


def lineage(folder: Path) -> Lineage:
    """Of the newest timeline with a history in a folder."""
    files = [file for file in folder.iterdir() if timeline_of(file.name) is not None]
    return Lineage.of([(file.name, file.read_text()) for file in files])

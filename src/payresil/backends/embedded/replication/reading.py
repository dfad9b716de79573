"""Reads a copy of the write-ahead log from a position to its end, and notices what is damaged."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from payresil.backends.embedded.replication.positions import (
    Segment,
    lineage,
    lsn,
    position,
    segments,
)
from payresil.core.protocols import BackupDamaged, EnvironmentBroke

#: Runs `pg_waldump` with these arguments; returns what it said.
Dump = Callable[[list[str]], str]

#: How `pg_waldump` says that nothing was ever written from a position on.
_NOTHING_MORE = re.compile(
    r"invalid record length at ([0-9A-F]+/[0-9A-F]+): expected at least \d+, got 0"
    r"|invalid magic number 0000 in WAL segment [0-9A-F]+, LSN ([0-9A-F]+/[0-9A-F]+)"
)
_NO_RECORD = re.compile(r"could not find a valid record after ([0-9A-F]+/[0-9A-F]+)")
_ERROR = re.compile(r"^pg_waldump: error: (.*)$", re.MULTILINE)

#: Recovery to a point in time looks at the time of these, and of nothing else.
_ENDED = re.compile(
    r"desc: (?:COMMIT|ABORT)(?:_PREPARED)? .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Log:
    """How far a log goes."""

    timeline: int
    end: int
    last_us: int | None  # wall clock of the last transaction that ended, Unix time; None: none did


def read_log(folder: Path, timeline: int, start: int, dump: Dump) -> Log:
    """Read the log in `folder`, where no segment's name says that it is partial, record by record.

    Raises:
        BackupDamaged: naming where something is missing or damaged.
        EnvironmentBroke: when the log did not come from the base backup.
    """
    line = lineage(folder)
    if timeline != line.timeline and timeline not in dict(line.ended):
        raise EnvironmentBroke(
            f"the archive of the log goes on with timeline {line.timeline}, which did not come "
            f"from timeline {timeline} of the base backup: take a new one"
        )
    last_us = None
    end = start
    for each, begin, until in line.sections(timeline, start):
        if each != timeline and not _numbers(folder, each):
            return Log(each, begin, last_us)  # it has begun, and nothing of it has come yet
        last = _last(folder, each, begin, until)
        told = dump(_arguments(folder, begin, until, last))
        last_us = _last_us(told) or last_us
        end = _end(folder, begin, last, told) if until is None else until
        if until is not None and (error := _ERROR.search(told)):
            raise BackupDamaged(_damaged(folder, each, begin, error[1]))
    return Log(line.timeline, end, last_us)


def _arguments(folder: Path, start: int, end: int | None, last: Segment) -> list[str]:
    until = [] if end is None else [f"--end={lsn(end)}"]
    which = [Segment.holding(last.timeline, start).name, last.name]
    return [f"--path={folder}", f"--start={lsn(start)}", *until, "--rmgr=Transaction", *which]


def _last(folder: Path, timeline: int, start: int, end: int | None) -> Segment:
    """The last segment to be read; all up to it must be there. `pg_waldump` would wait for them."""
    there = _numbers(folder, timeline)
    first = Segment.holding(timeline, start).number
    last = max(there, default=first) if end is None else Segment.holding(timeline, end - 1).number
    for number in range(first, max(first, last) + 1):
        if number not in there:
            name = Segment(timeline, number).name
            raise BackupDamaged(f"the archive of the log lacks {name}, which is needed")
    return Segment(timeline, last)


def _numbers(folder: Path, timeline: int) -> set[int]:
    """Of the segments that are there of a timeline."""
    return {each.number for each in segments(folder).values() if each.timeline == timeline}


def _end(folder: Path, start: int, last: Segment, told: str) -> int:
    """Where the log ends, by what `pg_waldump` stumbled over, if it did."""
    error = _ERROR.search(told)
    if error is None:
        return last.end
    end = _nothing_more(start, error[1])
    if end is None or _is_written_after(folder, last.timeline, end):
        raise BackupDamaged(_damaged(folder, last.timeline, start, error[1]))
    return end


def _nothing_more(start: int, why: str) -> int | None:
    if _NO_RECORD.search(why):
        return start
    told = _NOTHING_MORE.search(why)
    return None if told is None else position(told[1] or told[2])


def _is_written_after(folder: Path, timeline: int, end: int) -> bool:
    """Whether there is anything beyond the end: then it is a hole, and not the end."""
    for file, segment in segments(folder).items():
        if segment.timeline == timeline and segment.end > end:
            with file.open("rb") as content:
                content.seek(max(0, end - segment.start))
                if any(content.read()):
                    return True
    return False


def _last_us(told: str) -> int | None:
    times = [
        (datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC) - _EPOCH)
        // timedelta(microseconds=1)
        for text in _ENDED.findall(told)
    ]
    return max(times, default=None)


def _damaged(folder: Path, timeline: int, start: int, why: str) -> str:
    return (
        f"the archive of the log is damaged after {lsn(start)} on timeline {timeline}: {why} "
        f"(in {folder})"
    )

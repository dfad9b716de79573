"""No secret and no card number of the run is in anything that it left."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from payresil.core.canaries import canaries
from payresil.core.canary_scanner import MOST, Scanner, Sighting
from payresil.core.pages import UnknownLayout
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.schemas import SCHEMAS
from payresil.core.tables import SEALED, STREAM

#: Columns that are searched at the same time; the search itself needs no interpreter.
_THREADS = 2

#: Bytes of a table that are searched at once.
_AT_ONCE = 1 << 23

#: Searching these as they are would find nothing whatever they hold.
_OPAQUE = frozenset({".gz", ".zip", ".zst", ".xz", ".bz2", ".7z", SEALED})


@dataclass(frozen=True, slots=True)
class _Looked:
    """One artefact that was looked into."""

    size: int
    findings: tuple[Finding, ...]


@checker(kind="money")
def no_leaks(run: Run) -> Iterator[Result]:
    """No secret and no card number of the run is in any log, table or report that it left.

    Every run sows its own; `run.json` keeps salted fingerprints of them. Looked for as they are,
    card numbers also with separators, in base64 and in hexadecimal, in every file of the run folder
    and every column of its tables. Shows where, and of a card number only the first six and the
    last four digits.
    """
    try:
        sown = canaries(run.meta.get("canaries") or [])
    except ValueError as error:
        yield Doubt(str(error))
        return
    if not sown:
        yield Doubt("run.json holds no canaries, so a leak could not be recognised")
        return
    scanner = Scanner(sown)
    looked = list(_tables(run, scanner))
    if run.folder is None:
        yield Doubt("the run has no folder: logs and reports were not looked into")
    else:
        yield from _unreadable(run.folder)
        looked += _files(run.folder, scanner)
    yield Measure("artefacts_judged", len(looked))
    yield Measure("canaries_sown", len(sown))
    yield Measure("bytes_searched", sum(one.size for one in looked), "B")
    for one in looked:
        yield from one.findings


def _tables(run: Run, scanner: Scanner) -> Iterator[_Looked]:
    columns = [(table, name) for table in sorted(run.tables) for name in SCHEMAS[table].names]
    with ThreadPoolExecutor(_THREADS) as pool:
        looked = pool.map(lambda at: _column(run, at[0], at[1], scanner), columns)
        by_table = groupby(zip(columns, looked, strict=True), key=lambda pair: pair[0][0])
        for _, pairs in by_table:
            parts = [part for _, part in pairs]
            yield _Looked(
                sum(part.size for part in parts),
                tuple(finding for part in parts for finding in part.findings),
            )


def _column(run: Run, table: str, name: str, scanner: Scanner) -> _Looked:
    if not _may_hold_one(run, table, name, scanner):
        return _Looked(0, ())
    size = _clean_pages(run, table, name, scanner)
    return _values(run, table, name, scanner) if size is None else _Looked(size, ())


def _clean_pages(run: Run, table: str, name: str, scanner: Scanner) -> int | None:
    """How many bytes the text of a column has, if they can be looked into and hold no canary."""
    size = 0
    try:
        for text in _together(run.texts(table, name)):
            size += text.size
            if scanner.find(text):
                return None
    except UnknownLayout:
        return None
    return size


def _together(pages: Iterable[pa.Buffer]) -> Iterator[pa.Buffer]:
    """Several pages at once, since each search takes time to begin."""
    waiting: list[pa.Buffer] = []
    for page in pages:
        waiting.append(page)
        if sum(each.size for each in waiting) >= _AT_ONCE:
            yield pa.py_buffer(b"".join(waiting))
            waiting = []
    yield pa.py_buffer(b"".join(waiting))


def _values(run: Run, table: str, name: str, scanner: Scanner) -> _Looked:
    """Value by value: in how many of them canaries are."""
    size = 0
    found: list[Sighting] = []
    for piece in run.pieces(table, name):
        sightings, searched = _piece(piece, scanner)
        found += sightings
        size += searched
        if len(found) >= MOST:
            break
    return _Looked(size, tuple(_told(found, f"table {table}.{name}")))


def _may_hold_one(run: Run, table: str, name: str, scanner: Scanner) -> bool:
    """Whether a column holds text, or numbers as great as a card's."""
    kind = SCHEMAS[table].field(name).type
    if pa.types.is_integer(kind) and scanner.least_card is not None:
        return bool((run.greatest(table, name) or 0) >= scanner.least_card)
    return bool(pa.types.is_string(kind))


def _piece(piece: pa.ChunkedArray, scanner: Scanner) -> tuple[list[Sighting], int]:
    """What is in some values of a column, and how many bytes had to be searched."""
    found: list[Sighting] = []
    size = 0
    for chunk in piece.chunks:
        repeated = isinstance(chunk, pa.DictionaryArray)
        text = _text(chunk.dictionary if repeated else chunk.cast(pa.string()))
        sightings = scanner.find(text)
        if repeated and sightings:  # in one value: how often it is there is another question
            text = _text(chunk.cast(pa.string()))
            sightings = scanner.find(text)
        found += sightings
        size += text.size
    return found, size


def _text(chunk: pa.StringArray) -> pa.Buffer:
    """All values of a chunk, one after the other, without copying them."""
    _, offsets, data = chunk.buffers()
    if data is None or len(chunk) == 0:
        return pa.py_buffer(b"")
    borders = pa.Array.from_buffers(pa.int32(), len(chunk) + 1, [None, offsets], 0, chunk.offset)
    start, end = borders[0].as_py(), borders[-1].as_py()
    return data.slice(start, end - start)


def _files(folder: Path, scanner: Scanner) -> Iterator[_Looked]:
    for path in _artefacts(folder):
        place = _printable(path.relative_to(folder))
        text = _mapped(path)
        found = scanner.find(text)
        named = scanner.find(pa.py_buffer(place.encode()))
        findings = [*_told(found, f"file {place}", text), *_told(named, "the name of a file")]
        yield _Looked(text.size, tuple(findings))


def _mapped(path: Path) -> pa.Buffer:
    """What a file holds, paged in as it is searched; it is let go with the buffer."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return pa.py_buffer(b"")
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _told(
    sightings: Iterable[Sighting], place: str, text: pa.Buffer | None = None
) -> Iterator[Finding]:
    """One finding for each canary and form, with the line of the first where `text` has lines."""
    places: dict[tuple[str, str, str], list[int]] = {}
    sightings = list(sightings)
    more = " or more" if len(sightings) >= MOST else ""
    for s in sightings:
        places.setdefault((s.name, s.form, s.shown), []).append(s.at)
    for (name, form, shown), ats in sorted(places.items()):
        what = f"{name} {shown}".strip() + ("" if form == "plain" else f" in {form}")
        line = "" if text is None else f", first in line {_line(text, min(ats))}"
        times = "once" if len(ats) == 1 else f"{len(ats):,} times{more}"
        yield Finding(f"{what} is in {place}{line}, {times}")


def _line(text: pa.Buffer, at: int) -> int:
    before: bytes = text[:at].to_pybytes()
    return before.count(b"\n") + 1


def _artefacts(folder: Path) -> list[Path]:
    """Every file but the tables, which are looked into by column."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix not in _OPAQUE
        and not (path.suffix == STREAM and path.parent == folder)
    ]


def _unreadable(folder: Path) -> Iterator[Doubt]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _OPAQUE and not (path.suffix == SEALED and path.parent == folder):
            yield Doubt(f"{_printable(path.relative_to(folder))} is packed: not looked into")
    logs = folder / "logs"
    if not any(path.is_file() for path in logs.glob("*")):
        yield Doubt("the run folder holds no logs, where leaks are most likely")


def _printable(path: Path) -> str:
    return str(path).encode(errors="replace").decode()

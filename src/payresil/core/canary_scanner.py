"""Finding canaries in bytes, in any form that encoders and log lines give them, fast.

A linear-time search (RE2, through Arrow) finds what begins like a canary; only those candidates
are read back and hashed. 50 MB take about a fifth of a second.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import pyarrow as pa
import pyarrow.compute as pc

from payresil.core.canaries import BIN_DIGITS, CARD, TOKEN, Canary

#: What people and encoders put between the digits of a card number, once.
_SEPARATOR = r"(?:[ .+_-]|%20|\xc2\xa0)?"
_SEPARATORS = re.compile(rb"%20|[^0-9]")

#: How much is searched at once, and what no canary in any form is longer than.
_CHUNK = 1 << 18
_MARGIN = 1 << 11

#: Who leaks with every line does so tens of thousands of times; it need not all be read.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """A canary where it must not be."""

    name: str
    form: str  # plain | base64 | hexadecimal
    shown: str  # what may be shown of it: BIN and last four of a card, nothing of a token
    at: int  # offset in bytes


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to write canaries that begin alike: how it begins, and how to read it back."""

    name: str
    begins: re.Pattern[bytes]
    decode: Callable[[bytes, int], bytes | None]  # (data, offset of the beginning)
    canaries: tuple[Canary, ...]


class Scanner:
    """Looks for canaries in bytes, each as it is, in base64 at any alignment, and in hexadecimal.

    Card numbers are recognised with separators between their digits as well.
    """

    def __init__(self, known: Sequence[Canary]) -> None:
        alike: dict[tuple[str, int, str], list[Canary]] = {}
        for canary in known:
            alike.setdefault((canary.kind, canary.length, canary.prefix), []).append(canary)
        self._forms = [form for group in alike.values() for form in _forms(tuple(group))]
        begins = sorted({form.begins.pattern.decode() for form in self._forms})
        self._any = "|".join(f"(?:{pattern})" for pattern in begins)
        self._everywhere = re.compile(f"(?={self._any})".encode())
        #: No number below it holds a card number.
        self.least_card = min(
            (
                int(canary.prefix) * 10 ** (canary.length - BIN_DIGITS)
                for canary in known
                if canary.kind == CARD
            ),
            default=None,
        )

    def find(self, data: pa.Buffer) -> list[Sighting]:
        """Every canary in `data`, in order; the search ends with the first `MOST` of them."""
        found: dict[tuple[int, str], Sighting] = {}
        for start, end in self._suspicious(data):
            text = data[start:end].to_pybytes()
            for match in self._everywhere.finditer(text):
                for sighting in self._at(text, match.start()):
                    at = start + sighting.at
                    found[at, sighting.name] = replace(sighting, at=at)
                if len(found) >= MOST:
                    return list(found.values())
        return list(found.values())

    def _suspicious(self, data: pa.Buffer) -> list[tuple[int, int]]:
        """Stretches in which something begins like a canary, found by a linear-time search."""
        if not self._forms or data.size == 0:
            return []
        borders = [*range(0, data.size, _CHUNK), data.size]
        stretches = [
            (max(0, start - _MARGIN), min(data.size, end + _MARGIN))
            for start, end in self._hits(data, borders)
        ]
        # What a border cuts in two is found in a copy of its surroundings.
        inner = borders[1:-1]
        around = [(at - _MARGIN, min(data.size, at + _MARGIN)) for at in inner]
        seams = b"".join(data[start:end].to_pybytes() for start, end in around)
        offsets = [0, *accumulate(end - start for start, end in around)]
        hit = {start for start, _ in self._hits(pa.py_buffer(seams), offsets)}
        stretches += [
            stretch for stretch, at in zip(around, offsets[:-1], strict=True) if at in hit
        ]
        return _merged(stretches)

    def _hits(self, data: pa.Buffer, borders: list[int]) -> list[tuple[int, int]]:
        """Of the pieces between `borders`, those in which something begins like a canary."""
        if data.size == 0:
            return []
        offsets = pa.array(borders, pa.int64()).buffers()[1]
        pieces = pa.Array.from_buffers(pa.large_binary(), len(borders) - 1, [None, offsets, data])
        found = pc.match_substring_regex(pieces, self._any).to_pylist()
        return [stretch for stretch, hit in zip(pairwise(borders), found, strict=True) if hit]

    def _at(self, text: bytes, at: int) -> Iterator[Sighting]:
        for form in self._forms:
            if form.begins.match(text, at) is None:
                continue
            candidate = form.decode(text, at)
            for canary in form.canaries if candidate is not None else ():
                if canary.is_(candidate or b""):
                    yield Sighting(canary.name, form.name, _shown(canary, candidate or b""), at)


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _shown(canary: Canary, secret: bytes) -> str:
    if canary.kind == TOKEN:
        return ""
    digits = secret.decode()
    return f"{digits[:BIN_DIGITS]}…{digits[-4:]}"


def _forms(alike: tuple[Canary, ...]) -> Iterator[_Form]:
    kind, length, prefix = alike[0].kind, alike[0].length, alike[0].prefix.encode()
    if kind == CARD:
        yield _Form("plain", _card_pattern(prefix, length), _card_reader(length), alike)
    else:
        yield _Form("plain", _literal(prefix), lambda data, at: data[at : at + length], alike)
    for digits in {prefix.hex(), prefix.hex().upper()}:
        yield _Form("hexadecimal", _literal(digits.encode()), _hex_reader(length), alike)
    for before in range(3):
        for begins in _in_base64(prefix, before):
            yield _Form("base64", _literal(begins), _base64_reader(before, length), alike)


def _literal(text: bytes) -> re.Pattern[bytes]:
    return re.compile(re.escape(text))


def _card_pattern(prefix: bytes, length: int) -> re.Pattern[bytes]:
    digits = _SEPARATOR.join(prefix.decode())
    return re.compile(f"{digits}(?:{_SEPARATOR}[0-9]){{{length - len(prefix)}}}".encode())


def _card_reader(length: int) -> Callable[[bytes, int], bytes | None]:
    written = re.compile(f"[0-9](?:{_SEPARATOR}[0-9]){{{length - 1}}}".encode())

    def read(data: bytes, at: int) -> bytes | None:
        match = written.match(data, at)
        return None if match is None else _SEPARATORS.sub(b"", match[0])

    return read


def _hex_reader(length: int) -> Callable[[bytes, int], bytes | None]:
    def read(data: bytes, at: int) -> bytes | None:
        try:
            return binascii.unhexlify(data[at : at + 2 * length])
        except binascii.Error:
            return None

    return read


#: Of a text that begins `before` bytes into a group of three, the first base64 characters also
#: depend on what stands before it.
_FOREIGN = (0, 2, 3)


def _in_base64(prefix: bytes, before: int) -> set[bytes]:
    """How `prefix` begins in base64, in both alphabets, without characters it shares."""
    whole = 8 * (before + len(prefix)) // 6
    plain = base64.b64encode(b"\0" * before + prefix)[_FOREIGN[before] : whole]
    return {plain, plain.translate(bytes.maketrans(b"+/", b"-_"))}


def _base64_reader(before: int, length: int) -> Callable[[bytes, int], bytes | None]:
    characters = -(-8 * (before + length) // 6)

    def read(data: bytes, at: int) -> bytes | None:
        start = at - _FOREIGN[before]
        if start < 0:
            return None
        written = data[start : start + characters].translate(bytes.maketrans(b"-_", b"+/"))
        try:
            decoded = base64.b64decode(written + b"A" * (-len(written) % 4), validate=True)
        except binascii.Error:
            return None
        return decoded[before : before + length]

    return read

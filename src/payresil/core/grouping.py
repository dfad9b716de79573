"""Grouping millions of rows by the hash of a key: sorting numbers is faster than hashing text.

A code is a 64-bit number: the hash of a row's key, whose low bits give way to what is to be known
of the row. Equal keys have equal codes but for those bits, so rows of one key come to stand side by
side. Whoever asks here for suspects looks at them again, by the keys themselves, so that two keys
that share a hash cost a second look and make no finding. The other way round, a violation stays
unseen only where hashes of 32 bits or more happen to be the same and what is wrong of one key makes
up for what is wrong of the other, or where `ambiguous` takes one value for the other: less than one
in four thousand million. Sums are of 64 bits, and wrap beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Codes = npt.NDArray[np.uint64]

_HALF = np.uint64(32)
_WORTH_THREADS = 1 << 16  # fewer codes are sorted before a thread has begun


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of some codes, in the order of their keys."""

    keys: Codes  # what the codes of a group have in common, the low bits being zero
    starts: npt.NDArray[np.intp]  # where each group begins among the sorted codes
    codes: Codes  # sorted
    bits: int  # low bits that are no part of the key

    @property
    def counts(self) -> npt.NDArray[np.intp]:
        """Rows of each group."""
        return np.diff(self.starts, append=len(self.codes))

    def said(self) -> Codes:
        """What the rows of each group say together: the low bits of their codes, or-ed."""
        if not len(self.starts):
            return self.keys
        return np.bitwise_or.reduceat(self.codes, self.starts) & _low(self.bits)

    def saying(self, flag: int) -> npt.NDArray[np.int64]:
        """How many rows of each group have this low bit."""
        if not len(self.starts):
            return self.counts
        said = (self.codes & np.uint64(flag)) != 0
        return np.add.reduceat(said, self.starts, dtype=np.int64)


def columns(
    database: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()
) -> list[npt.NDArray[Any]]:
    """The columns of a query as arrays; it must not answer with nulls."""
    return list(database.execute(sql, list(parameters)).fetchnumpy().values())


def grouped(codes: Codes, bits: int = 0) -> Groups:
    """Group `codes`, which are sorted in place, by all but their low `bits`."""
    _sort(codes)
    starts = np.flatnonzero(_firsts(codes, bits))
    return Groups(codes[starts] & ~_low(bits), starts, codes, bits)


def repeated(codes: Codes) -> Codes:
    """The codes that occur more than once, each once, in order; `codes` are sorted in place."""
    _sort(codes)
    again: Codes = codes[1:][codes[1:] == codes[:-1]]
    return again.compress(_firsts(again, 0))


def ambiguous(codes: Codes) -> Codes:
    """The upper halves of `codes` that stand with more than one lower half; sorted in place.

    To be put to SQL like the keys of suspects: their lower halves are zero.
    """
    return repeated(grouped(codes).keys >> _HALF) << _HALF


def sums(keys: Codes, *values: npt.NDArray[np.int64]) -> tuple[Groups, list[npt.NDArray[np.int64]]]:
    """Group rows by their hashed keys, and add their values up.

    Of the hash so many low bits are lost as number the rows.
    """
    bits = max(1, len(keys) - 1).bit_length()
    numbered = keys & ~_low(bits) | np.arange(len(keys), dtype=np.uint64)
    groups = grouped(numbered, bits)
    if not len(groups.starts):
        return groups, [value[:0] for value in values]
    order = (groups.codes & _low(bits)).astype(np.intp)
    return groups, [np.add.reduceat(value[order], groups.starts) for value in values]


def keep_suspects(database: duckdb.DuckDBPyConnection, name: str, keys: Codes) -> None:
    """Make a temporary table of the upper halves of keys.

    SQL then finds the rows that need a second look by `hash(key) >> 32 in (from name)`.
    """
    keep_as(database, name, half_hash=keys >> _HALF)


def keep_as(
    database: duckdb.DuckDBPyConnection, name: str, **values: npt.NDArray[np.integer[Any]]
) -> None:
    """Make a temporary table of columns of the same length, for SQL to ask."""
    given = f"{name}_given"
    database.register(given, pa.table(values))
    try:
        database.execute(f"create or replace temp table {name} as from {given}")
    finally:
        database.unregister(given)


def _firsts(codes: Codes, bits: int) -> npt.NDArray[np.bool_]:
    """Which of the sorted codes differs from the one before in more than its low bits."""
    firsts = np.ones(len(codes), bool)
    np.greater(codes[1:] ^ codes[:-1], _low(bits), out=firsts[1:])
    return firsts


def _low(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)


def _sort(codes: Codes) -> None:
    """Sort in place, by two threads."""
    if len(codes) < _WORTH_THREADS:
        codes.sort()
        return
    middle = len(codes) // 2
    codes.partition(middle)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(np.ndarray.sort, (codes[:middle], codes[middle:])))

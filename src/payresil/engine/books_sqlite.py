"""The service's books in files of SQLite, read and never written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from payresil.core.protocols import EnvironmentBroke

_BUSY_S = 5.0

#: All that a query may do: no attaching of other files, and nothing that writes.
_ALLOWED = frozenset(
    (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    )
)


def query_sqlite(
    files: Iterable[Path], queries: Mapping[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of every query over each file, those of one file of one snapshot.

    Several files are the books of several instances: their rows together are the service's books.

    Raises:
        EnvironmentBroke: when a file is missing or a query fails.
    """
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in queries}
    for file in files:
        for table, found in _query_file(file, queries).items():
            rows[table] += found
    return rows


def _query_file(file: Path, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    if not file.is_file():
        raise EnvironmentBroke(f"books: there is no file {file}; is it where the service writes?")
    uri = f"{file.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as books:
            books.isolation_level = None
            books.row_factory = sqlite3.Row
            books.execute("begin")
            books.set_authorizer(_authorize)
            return {table: _fetch(books, table, sql) for table, sql in queries.items()}
    except sqlite3.Error as error:
        raise EnvironmentBroke(f"books: {file} cannot be read: {error}") from error


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _fetch(books: sqlite3.Connection, table: str, sql: str) -> list[dict[str, Any]]:
    try:
        return [dict(row) for row in books.execute(sql)]
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise EnvironmentBroke(f"books: the query of {table} fails: {error}") from error

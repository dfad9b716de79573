"""One SQLite connection, owned by one process.

Write-ahead log with ``synchronous=OFF``: a commit is in the operating system's cache when it
returns, so it survives the death of this process at any point (``kill -9``), which is what the
stub promises. It does not promise to survive a power cut, and so pays for no fsync.
``locking_mode=EXCLUSIVE`` keeps a second stub off the same folder.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stub_psp.store.schema import SCHEMA_VERSION, TABLES

FILE = "stub_psp.sqlite3"
Parameters = Sequence[str | bytes | int | None]


class StoreError(Exception):
    """The store cannot be opened; the message says what to do."""


class Database:
    """Runs SQL. ``folder`` None keeps everything in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._deferred: list[tuple[str, Parameters]] = []
        self._connection = _connect(folder)
        #: Called when something was deferred and nothing had been: time to plan a flush.
        self.on_deferred: Callable[[], None] = lambda: None

    def execute(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Parameters = ()) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._connection.execute(sql, parameters).fetchone()
        return found

    def insert(self, sql: str, parameters: Parameters) -> int:
        """Run an INSERT; give the new ``seq``."""
        seq = self._connection.execute(sql, parameters).lastrowid
        assert seq is not None  # SQLite sets it after every INSERT
        return seq

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; committed when the block ends. Not re-entrant, never across await."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            if self._deferred:
                self._write_deferred()
            yield
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")

    def defer(self, sql: str, parameters: Parameters) -> None:
        """Write with the next transaction, or soon: for what may be lost by a kill."""
        first = not self._deferred
        self._deferred.append((sql, parameters))
        if first:
            self.on_deferred()

    def flush(self) -> None:
        if self._deferred:
            with self.transaction():
                pass

    def close(self) -> None:
        self.flush()
        self._connection.close()

    def _write_deferred(self) -> None:
        # Emptied only once every row is in: a rollback keeps them for the next transaction.
        for sql, parameters in self._deferred:
            self._connection.execute(sql, parameters)
        self._deferred.clear()


def _connect(folder: Path | None) -> sqlite3.Connection:
    if folder is None:
        path = ":memory:"
    else:
        path = str(folder / FILE)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise StoreError(f"--data {folder}: {error.strerror}; name a folder") from error
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=512, timeout=1.0)
        for pragma in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=OFF",
            "temp_store=MEMORY",
            "cache_size=-16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _create_tables(connection, path)
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: {error}; is another stub using this folder, or is it not its own?"
        ) from error
    return connection


def _create_tables(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in TABLES.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    elif version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}, this stub writes {SCHEMA_VERSION}; use a new folder"
        )
    connection.execute("COMMIT")

"""All of the tables behind one file, and the few facts about the file itself."""

from __future__ import annotations

import os
from pathlib import Path

from stub_psp.identifiers import PREFIXES, numbered
from stub_psp.store.attempts import Attempts
from stub_psp.store.database import Database
from stub_psp.store.deliveries import Deliveries
from stub_psp.store.epochs import Epochs
from stub_psp.store.events import Events
from stub_psp.store.objects import Objects
from stub_psp.store.rulebook import RuleRows


class Store:
    """Opens (and if needed makes) the store in ``folder``; None keeps it in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.database = Database(folder)
        self.transaction = self.database.transaction
        self.objects = Objects(self.database)
        self.events = Events(self.database)
        self.deliveries = Deliveries(self.database)
        self.attempts = Attempts(self.database)
        self.epochs = Epochs(self.database)
        self.rules = RuleRows(self.database)
        self.secret = self._secret()
        self._last = {table: self._last_seq(table) for table in PREFIXES}

    def new_id(self, table: str) -> str:
        """The id of the next row of a table in ``PREFIXES``."""
        self._last[table] += 1
        return numbered(table, self._last[table])

    def number(self, name: str) -> int | None:
        row = self.database.row("SELECT value FROM meta WHERE name = ?", (name,))
        return int(row[0]) if row else None

    def numbers(self, beginning: str) -> dict[str, int]:
        """Every number whose name begins so."""
        rows = self.database.rows(
            "SELECT name, value FROM meta WHERE substr(name, 1, ?) = ?", (len(beginning), beginning)
        )
        return {name: int(value) for name, value in rows}

    def set_number(self, name: str, value: int | None) -> None:
        if value is None:
            self.database.execute("DELETE FROM meta WHERE name = ?", (name,))
        else:
            self.database.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (name, value))

    def close(self) -> None:
        self.database.close()

    def _last_seq(self, table: str) -> int:
        row = self.database.row(f"SELECT max(seq) FROM {table}")
        return row[0] or 0 if row else 0

    def _secret(self) -> bytes:
        # Keys the hashes of cards and parameters, which a bare hash would give away (PCI DSS
        # 3.5.1.1: there are few enough card numbers to try them all).
        self.database.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (os.urandom(32),))
        row = self.database.row("SELECT value FROM meta WHERE name = 'secret'")
        assert row is not None  # just written
        return bytes(row[0])

"""What databases held at moments of a run, written down as it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from payresil.core.protocols import EnvironmentBroke
from payresil.core.schemas import SCHEMAS
from payresil.core.tables import Recorder

#: What a system file may say how to read of any of its databases.
SNAPSHOT_TABLES = ("snapshots", "commits", "snapshot_keys")

#: Columns that the harness fills in itself.
OWN_COLUMNS = ("moment", "node", "at_ns")


class Keeper:
    """Tables that grow by whole snapshots; the first row of a table opens it."""

    def __init__(self, folder: Path, zero_ns: Callable[[], int]) -> None:
        """`zero_ns` is the run's zero on the monotonic clock, once it is known."""
        self._folder = folder
        self._zero_ns = zero_ns
        self._recorders: dict[str, Recorder] = {}
        self._lock = threading.Lock()

    def keep(self, table: str, rows: Sequence[Mapping[str, Any]], at_mono_ns: int) -> None:
        """Append rows that were read at `at_mono_ns`.

        Raises:
            EnvironmentBroke: when they do not fit the table.
        """
        names = SCHEMAS[table].names
        unknown = {name for row in rows for name in row} - set(names)
        if unknown:
            words = f"snapshots: {table} has no column {', '.join(sorted(unknown))}"
            raise EnvironmentBroke(words)
        at_ns = at_mono_ns - self._zero_ns()
        with self._lock:
            if table not in self._recorders:
                self._recorders[table] = Recorder(self._folder, table)
            recorder = self._recorders[table]
            try:
                recorder.extend(
                    [tuple({**row, "at_ns": at_ns}.get(name) for name in names) for row in rows]
                )
                recorder.flush()
            except (TypeError, ValueError) as error:
                raise EnvironmentBroke(f"snapshots: the query of {table}: {error}") from error

    def close(self) -> None:
        """End the tables."""
        with self._lock:
            for recorder in self._recorders.values():
                recorder.close()
            self._recorders.clear()

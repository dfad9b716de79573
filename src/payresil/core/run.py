"""A recorded run: the tables as SQL views, and the timeline of an intent."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from payresil.core.grouping import columns, keep_as, repeated
from payresil.core.pages import UnknownLayout
from payresil.core.results import Line
from payresil.core.schemas import SCHEMA_VERSION, SCHEMAS
from payresil.core.sealed import Sealed
from payresil.core.tables import TableError, from_rows, open_folder
from payresil.core.views import ASKED_OFTEN, HASHES, VIEWS

#: What `run.json` must hold for a folder to be judged at all.
_REQUIRED = {
    "run": str,
    "scenario": str,
    "schema_version": int,
    "zero_wall_us": int,
    "seed": int,
}
_MAX_INT = 2**63 - 1

_THREADS = 2
#: What DuckDB may take for itself; what is more goes to a folder of temporary files.
_MEMORY = 3_200_000_000
_SEALED_VIEW = "create view {name} as from read_parquet('{file}', hive_partitioning = false)"


class RunError(Exception):
    """A folder that is no run, or one that is damaged; says what to do."""


class Run:
    """The evidence of one execution. Reading it needs nothing that runs.

    `meta` is what `run.json` holds; `tables` the names of the tables recorded. Tables that were
    not recorded are there as empty views, so that SQL works; `has` tells them apart.
    """

    def __init__(
        self,
        tables: Mapping[str, pa.Table | Sealed],
        meta: Mapping[str, Any],
        folder: Path | None = None,
        *,
        direct: bool = False,
    ) -> None:
        self.meta = dict(meta)
        self.folder = folder
        self.tables = frozenset(tables)
        self._recorded = dict(tables)
        self.sql = _connect(
            tables,
            int(self.meta.get("zero_wall_us", 0)),
            str(self.meta.get("run", "")),
            scratch=self._scratch() if direct else None,
        )

    @classmethod
    def open(cls, folder: Path, *, direct: bool = False) -> Run:
        """Open a run folder.

        `direct` lets DuckDB read the sealed tables itself, about three times as fast. It may then
        open these very files, for writing as well: for the SQL of checkers, not for anybody's.

        Raises:
            RunError: when it is no run folder, half-written or damaged.
        """
        if not folder.is_dir():
            raise RunError(f"{folder} is no run folder: no such directory")
        meta = _read_meta(folder / "run.json")
        try:
            tables = open_folder(folder)
            _check_complete(folder, meta, tables)
            return cls(tables, meta, folder, direct=direct)
        except TableError as error:
            raise RunError(str(error)) from error
        except OSError as error:
            raise RunError(f"{folder} cannot be read: {error}; the run cannot be judged") from error

    @classmethod
    def from_rows(
        cls, meta: Mapping[str, Any] | None = None, /, **tables: Sequence[Mapping[str, Any]]
    ) -> Run:
        """A run written down by hand: lists of dicts by table name."""
        return cls({name: from_rows(name, rows) for name, rows in tables.items()}, meta or {})

    def has(self, table: str) -> bool:
        """Whether the table was recorded."""
        return table in self.tables

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.sql.execute(sql, parameters or []).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        row = self.sql.execute(sql, parameters or []).fetchone()
        return None if row is None else row[0]

    def timeline(self, intent: str) -> tuple[Line, ...]:
        """Everything that client, service and PSP say of one intent, and the faults around it."""
        return self.timelines([intent])[intent]

    def timelines(self, intents: Sequence[str]) -> dict[str, tuple[Line, ...]]:
        """The timelines of several intents, for the price of about one."""
        if not intents:
            return {}
        # Values in the text of the query, unlike a list, are looked for while tables are read.
        places = ", ".join("?" for _ in intents)
        rows = self.rows(
            f"select intent, at_ns, who, what, fault from timeline where intent in ({places}) "
            "order by at_ns, who, what",
            intents,
        )
        lines: dict[str, list[Line]] = {intent: [] for intent in intents}
        for intent, *line in rows:
            lines[intent].append(Line(*line))
        return {intent: tuple(found) for intent, found in lines.items()}

    def pieces(self, table: str, column: str) -> Iterator[pa.ChunkedArray]:
        """The values of a recorded column, piece by piece; where they repeat, as dictionaries."""
        recorded = self._recorded[table]
        if isinstance(recorded, Sealed):
            yield from recorded.pieces(column)
        else:
            yield recorded[column]

    def texts(self, table: str, column: str) -> Iterator[pa.Buffer]:
        """The pages of a sealed column that hold its text, which is faster than its values.

        Raises:
            UnknownLayout: when there are none.
        """
        recorded = self._recorded[table]
        if not isinstance(recorded, Sealed):
            raise UnknownLayout("it is not sealed")
        yield from recorded.texts(column)

    def greatest(self, table: str, column: str) -> Any:
        """The greatest value of a recorded column; None when it has none."""
        recorded = self._recorded[table]
        if isinstance(recorded, Sealed):
            return recorded.greatest(column)
        return pc.max(recorded[column]).as_py()

    def keep(self) -> None:
        """Work the views out that are asked often, once: same names, same rows, now tables."""
        for view, hashes in HASHES.items():
            keep_as(self.sql, view, intent_hash=repeated(columns(self.sql, hashes)[0]))
        for view in ASKED_OFTEN:
            self.sql.execute(f"create temp table if not exists {view} as from main.{view}")

    def _scratch(self) -> Path:
        """A folder for temporary files, which goes with the run."""
        folder = tempfile.mkdtemp(prefix="payresil-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def _check_complete(
    folder: Path, meta: Mapping[str, Any], tables: Mapping[str, pa.Table | Sealed]
) -> None:
    """A table that was recorded and is gone would be judged as if nothing had happened."""
    for name, rows in (meta.get("tables") or {}).items():
        found = tables[name].num_rows if name in tables else None
        if found != rows:
            raise RunError(
                f"{folder} is incomplete: the table {name} was recorded with {rows:,} rows, and "
                f"{'is not there' if found is None else f'has {found:,}'}; restore it from where "
                "it was recorded"
            )


def _connect(
    tables: Mapping[str, pa.Table | Sealed], zero_wall_us: int, run: str, *, scratch: Path | None
) -> duckdb.DuckDBPyConnection:
    """A database in memory that can reach nothing outside it.

    With `scratch`, it can reach that folder and the files of sealed tables.
    """
    connection = duckdb.connect(":memory:", config=_configuration(scratch))
    reachable: list[str] = []
    for name, schema in SCHEMAS.items():
        table = tables.get(name, schema.empty_table())
        if isinstance(table, Sealed) and scratch and table.is_plainly_named:
            reachable.append(table.name)
            connection.execute(_SEALED_VIEW.format(name=name, file=table.name.replace("'", "''")))
        else:
            connection.register(name, table.dataset() if isinstance(table, Sealed) else table)
    connection.execute(
        "create table meta as select ?::bigint as zero_wall_us, ?::varchar as run",
        [zero_wall_us, run],
    )
    for statement in VIEWS:
        connection.execute(statement)
    connection.execute("set allowed_paths = ?", [reachable])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection


def _configuration(scratch: Path | None) -> dict[str, str | bool | int | float | list[str]]:
    # An empty name keeps DuckDB from a folder of its own choice, which it would let queries reach.
    configuration: dict[str, str | bool | int | float | list[str]] = {
        "threads": _THREADS,
        "temp_directory": str(scratch or ""),
    }
    if scratch:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        configuration["memory_limit"] = f"{min(_MEMORY, memory // 2)}B"
        configuration["enable_external_file_cache"] = False  # the operating system has one
    return configuration


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text())
    except FileNotFoundError:
        raise RunError(f"{path.parent} is no run folder: it has no run.json") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no JSON
        raise RunError(f"{path} cannot be read: {error}; the run cannot be judged") from error
    if not isinstance(meta, dict):
        raise RunError(f"{path} holds no JSON object; the run cannot be judged")
    missing = [name for name in _REQUIRED if name not in meta]
    if missing:
        raise RunError(f"{path} lacks {', '.join(missing)}; the run cannot be judged")
    wrong = [name for name, kind in _REQUIRED.items() if not _is(meta[name], kind)]
    if wrong:
        raise RunError(f"{path}: {', '.join(wrong)} cannot be right; the run cannot be judged")
    if meta["schema_version"] != SCHEMA_VERSION:
        raise RunError(
            f"{path.parent} was recorded with table schema {meta['schema_version']}, this "
            f"version reads {SCHEMA_VERSION}: judge it with the version that recorded it"
        )
    return meta


def _is(value: Any, kind: type) -> bool:
    """Whether a value of JSON is of this type; a truth is no number, and numbers have 64 bits."""
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    return not isinstance(value, int) or abs(value) <= _MAX_INT

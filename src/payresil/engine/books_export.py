"""The service's books as it exports them: every list in a JSON answer is a table to ask in SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from payresil.core.protocols import EnvironmentBroke

#: The name of the table where the whole answer is one list.
WHOLE = "answer"


def query_export(
    answer: Any, queries: Mapping[str, str], columns: Mapping[str, Sequence[str]]
) -> dict[str, list[dict[str, Any]]]:
    """The rows of every query, DuckDB's SQL, over the lists of objects in `answer`.

    A query over nothing but empty lists gives nothing. Where it asks others as well, the columns of
    an empty list must be known: `columns` names them by list.

    Raises:
        EnvironmentBroke: when the answer has no list, or a query fails.
    """
    lists = dict(_lists(answer))
    for name in columns:
        lists.setdefault(name, [])
    if not lists:
        raise EnvironmentBroke("books: the export has no list of objects to ask")
    with duckdb.connect(":memory:") as database:
        unknown = set()
        for name, rows in lists.items():
            table = _table(rows, columns.get(name, ()))
            if table is None:
                unknown.add(name.lower())
            else:
                _create(database, name, table)
        database.execute("set python_enable_replacements = false")
        database.execute("set enable_external_access = false")
        database.execute("set lock_configuration = true")
        return {
            table: list(_fetch(database, table, sql, set(lists), unknown))
            for table, sql in queries.items()
        }


def _lists(answer: Any) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    found = {WHOLE: answer} if isinstance(answer, list) else answer
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            yield name, value


def _table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> pa.Table | None:
    """A table with every column that any row has; None where not even one is known."""
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    if not names:
        return None
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """Values with the type that fits them all; where none does, each as JSON."""
    if all(value is None for value in values):
        return pa.array(values, pa.string())
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = (each if each is None or isinstance(each, str) else json.dumps(each)
                 for each in values)  # fmt: skip
        return pa.array(list(texts), pa.string())


def _create(database: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """A table rather than a view of `rows`: of a view nothing tells that a query names it."""
    database.register("rows of an export", rows)
    quoted = name.replace('"', '""')
    try:
        database.execute(f'create table "{quoted}" as from "rows of an export"')
    except duckdb.Error as error:  # names that differ in case only
        raise EnvironmentBroke(f"books: the list {name} of the export: {error}") from error
    database.unregister("rows of an export")


def _asked(database: duckdb.DuckDBPyConnection, sql: str, lists: Iterable[str]) -> set[str]:
    """The tables that a query names."""
    try:
        return {name.lower() for name in database.get_table_names(sql)}
    except duckdb.BinderException:  # `using (id)` of a table whose columns are not known
        words = set(re.findall(r"\w+", sql.lower()))
        return {name.lower() for name in lists} & words


def _fetch(
    database: duckdb.DuckDBPyConnection,
    table: str,
    sql: str,
    lists: Iterable[str],
    unknown: set[str],
) -> Iterator[dict[str, Any]]:
    try:
        asked = _asked(database, sql, lists)
        if asked & unknown:
            if asked <= unknown:
                return
            names = ", ".join(sorted(asked & unknown))
            raise EnvironmentBroke(
                f"books: the query of {table} asks {names}, which is empty, so that nothing tells "
                "its columns: name them under books_from.columns in the system file"
            )
        cursor = database.execute(sql)
        names_of_columns = [column[0] for column in cursor.description or ()]
        for row in cursor.fetchall():
            yield dict(zip(names_of_columns, row, strict=True))
    except duckdb.Error as error:
        known = ", ".join(sorted(lists))
        raise EnvironmentBroke(
            f"books: the query of {table} fails: {str(error).strip()}; the export has the lists "
            f"{known}"
        ) from error

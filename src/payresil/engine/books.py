"""Reads the books of service and PSP at the end of a run into tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from payresil.core.protocols import Endpoints, EnvironmentBroke, Psp
from payresil.core.schemas import SCHEMAS
from payresil.core.system import System
from payresil.core.tables import TableError, from_rows, write_sealed
from payresil.engine.books_database import query_database
from payresil.engine.books_export import query_export
from payresil.engine.books_sqlite import query_sqlite
from payresil.engine.service_calls import ServiceCallFailed, ServiceCalls

PSP_TABLES = ("psp_attempts", "psp_charges", "psp_refunds", "psp_events")
PSP_EPOCHS = "psp_epochs"

Row = Mapping[str, Any]


def read_psp(
    folder: Path,
    psp: Psp,
    zero_mono_ns: int,
    *,
    only: str | None = None,
    epochs: bool = False,
) -> dict[str, int]:
    """The PSP's god view; rows by table.

    `only` is what references begin with that are of this run: the PSP has others' payments too.
    With `epochs` requests say in which epoch they were sent.
    """
    counts = {}
    for table in PSP_TABLES:
        rows = [_in_run_time(row, zero_mono_ns, table) for row in psp.truth(table)]
        counts[table] = _write(folder, table, _ours(rows, "reference", only))
    if epochs:
        rows = [_in_run_time(row, zero_mono_ns, PSP_EPOCHS) for row in psp.truth(PSP_EPOCHS)]
        counts[PSP_EPOCHS] = _write(folder, PSP_EPOCHS, rows)
    return counts


def _in_run_time(row: Row, zero_mono_ns: int, table: str) -> dict[str, Any]:
    names = set(SCHEMAS[table].names)
    timed = {}
    for name, value in row.items():
        if name.endswith("_mono_ns"):
            name = name.removesuffix("_mono_ns") + "_ns"
            value = None if value is None else value - zero_mono_ns
        if name in names:
            timed[name] = value
    return timed


def read_service(
    folder: Path,
    system: System,
    endpoints: Endpoints,
    calls: ServiceCalls,
    *,
    only: str | None = None,
) -> dict[str, int]:
    """The service's books, by the SQL of its system file; rows by table.

    With `only`, what the references of this run begin with, the rest of its books is left out, and
    so are tables that cannot be told apart: those that name no intent.

    Raises:
        EnvironmentBroke: when they cannot be reached or a query fails.
    """
    counts = {}
    for table, rows in query_books(system, endpoints, calls).items():
        if only is not None and "intent" not in SCHEMAS[table].names:
            continue
        try:
            counts[table] = _write(folder, table, _ours(rows, "intent", only))
        except (TableError, TypeError, ValueError) as error:
            raise EnvironmentBroke(f"books: the query of {table} does not fit: {error}") from error
    return counts


def query_books(
    system: System, endpoints: Endpoints, calls: ServiceCalls
) -> dict[str, list[dict[str, Any]]]:
    """What each query of the system file gives, over wherever the service keeps its books.

    Raises:
        EnvironmentBroke: when they cannot be reached or a query fails.
    """
    if not system.books:
        return {}
    source = system.books_from
    if source is not None and source.sqlite is not None:
        return query_sqlite(_files(source.sqlite, endpoints), system.books)
    if source is not None and source.request is not None:
        try:
            answer = calls.export(source.request, source.headers)
        except ServiceCallFailed as error:
            raise EnvironmentBroke(f"books: {error}") from error
        return query_export(answer, system.books, source.columns)
    if endpoints.books is None:
        raise EnvironmentBroke(
            "books: there is no database to read them from; say under books_from in the system "
            "file where they are"
        )
    return query_database(endpoints.books, system.books)


def _files(template: str, endpoints: Endpoints) -> Sequence[Path]:
    """The file of every instance; one file where all share it."""
    if endpoints.files is not None:
        return endpoints.files(template)
    if "{data}" not in template:
        return [Path(template)]
    raise EnvironmentBroke(
        "books: the files of the instances cannot be reached here; let the service export its "
        "books, and name the request under books_from in the system file"
    )


def _ours(rows: Iterable[Row], column: str, only: str | None) -> Iterator[Row]:
    return (row for row in rows if only is None or str(row.get(column)).startswith(only))


def _write(folder: Path, table: str, rows: Iterable[Row]) -> int:
    kept = from_rows(table, list(rows))
    write_sealed(folder, table, kept)
    return int(kept.num_rows)

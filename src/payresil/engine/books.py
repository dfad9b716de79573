"""Reads the books of service and PSP at the end of a run into tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from payresil.core.protocols import EnvironmentBroke, Psp
from payresil.core.schemas import SCHEMAS
from payresil.core.tables import TableError, from_rows, write_sealed

PSP_TABLES = ("psp_attempts", "psp_charges", "psp_refunds", "psp_events")


def read_psp(folder: Path, psp: Psp, zero_mono_ns: int) -> dict[str, int]:
    """The PSP's god view; rows by table."""
    counts = {}
    for table in PSP_TABLES:
        rows = [_in_run_time(row, zero_mono_ns, table) for row in psp.truth(table)]
        write_sealed(folder, table, from_rows(table, rows))
        counts[table] = len(rows)
    return counts


def _in_run_time(row: Mapping[str, Any], zero_mono_ns: int, table: str) -> dict[str, Any]:
    names = set(SCHEMAS[table].names)
    timed = {}
    for name, value in row.items():
        if name.endswith("_mono_ns"):
            name = name.removesuffix("_mono_ns") + "_ns"
            value = None if value is None else value - zero_mono_ns
        if name in names:
            timed[name] = value
    return timed


def read_service(folder: Path, url: str, queries: Mapping[str, str]) -> dict[str, int]:
    """The service's books, by the SQL of its system file; rows by table.

    Raises:
        EnvironmentBroke: when its database cannot be reached or a query fails.
    """
    counts = {}
    for table, rows in asyncio.run(_query_all(url, queries)).items():
        try:
            write_sealed(folder, table, from_rows(table, rows))
        except (TableError, TypeError, ValueError) as error:
            raise EnvironmentBroke(f"books: the query of {table} does not fit: {error}") from error
        counts[table] = len(rows)
    return counts


async def _query_all(url: str, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    try:
        connection = await asyncpg.connect(url, timeout=5, command_timeout=60)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise EnvironmentBroke(f"books: cannot reach the service's database: {error}") from error
    try:
        # One snapshot: tables read a moment apart would disagree without anything being wrong.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {
                table: list(_dicts(await _fetch(connection, table, sql)))
                for table, sql in queries.items()
            }
    finally:
        await connection.close()


async def _fetch(connection: Any, table: str, sql: str) -> list[Any]:
    try:
        return list(await connection.fetch(sql))
    except asyncpg.PostgresError as error:
        raise EnvironmentBroke(f"books: the query of {table} fails: {error}") from error


def _dicts(records: list[Any]) -> Iterator[dict[str, Any]]:
    return (dict(record) for record in records)

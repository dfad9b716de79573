"""The service's books in the database that the backend gave it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

from payresil.core.protocols import EnvironmentBroke


def query_database(url: str, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of every query over the PostgreSQL at `url`, all of one snapshot.

    Raises:
        EnvironmentBroke: when it cannot be reached or a query fails.
    """
    return asyncio.run(_query_all(url, queries))


async def _query_all(url: str, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    try:
        connection = await asyncpg.connect(url, timeout=5, command_timeout=60)
    except (OSError, ValueError, asyncpg.PostgresError, TimeoutError) as error:
        raise EnvironmentBroke(f"books: cannot reach the service's database: {error}") from error
    try:
        # One snapshot: tables read a moment apart would disagree without anything being wrong.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {
                table: [dict(record) for record in await _fetch(connection, table, sql)]
                for table, sql in queries.items()
            }
    finally:
        await connection.close()


async def _fetch(connection: Any, table: str, sql: str) -> list[Any]:
    try:
        return list(await connection.fetch(sql))
    except asyncpg.PostgresError as error:
        raise EnvironmentBroke(f"books: the query of {table} fails: {error}") from error

"""What a database holds at a moment, read in one snapshot of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

from payresil.backends.embedded.replication.questions import connect, refused, unreachable

_READ_S = 20.0


def read_snapshot(url: str, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of every query, all of one moment.

    Raises:
        Unreachable: when there is no way to the database.
        EnvironmentBroke: when a query fails.
    """
    return asyncio.run(_read(url, queries))


async def _read(url: str, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    connection = await connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {
                table: [dict(row) for row in await connection.fetch(sql, timeout=_READ_S)]
                for table, sql in queries.items()
            }
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise unreachable(url, error) from error
    except asyncpg.PostgresError as error:
        raise refused(url, error) from error
    finally:
        connection.terminate()

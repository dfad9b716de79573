"""What a database holds at a moment, read in one snapshot of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from payresil.backends.embedded.replication.questions import connect, refused, unreachable

_READ_S = 20.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rows by table, and the tables that could not be read there, with why."""

    rows: Mapping[str, list[dict[str, Any]]]
    unreadable: Mapping[str, str]


def read_snapshot(url: str, queries: Mapping[str, str]) -> Snapshot:
    """The rows of every query, all of one moment.

    A table that is not in the write-ahead log is nowhere but in the database that wrote it: it has
    no rows here.

    Raises:
        Unreachable: when there is no way to the database.
        EnvironmentBroke: when a query fails.
    """
    return asyncio.run(_read(url, queries))


async def _read(url: str, queries: Mapping[str, str]) -> Snapshot:
    rows: dict[str, list[dict[str, Any]]] = {}
    unreadable: dict[str, str] = {}
    connection = await connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for table, sql in queries.items():
                try:
                    async with connection.transaction():
                        found = await connection.fetch(sql, timeout=_READ_S)
                except asyncpg.FeatureNotSupportedError as error:  # unlogged, on a standby
                    rows[table], unreadable[table] = [], str(error)
                else:
                    rows[table] = [dict(row) for row in found]
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise unreachable(url, error) from error
    except asyncpg.PostgresError as error:
        raise refused(url, error) from error
    finally:
        connection.terminate()
    return Snapshot(rows, unreadable)

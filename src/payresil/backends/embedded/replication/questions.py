"""One statement to a database, over the path that its URL names."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from payresil.core.protocols import EnvironmentBroke, Unreachable

#: Seconds that an operator gives a database to let him in, and to answer.
REACH_S = 2.0

#: PostgreSQL's classes of errors that say that it is not there: connections, shutdown, start-up.
_NOT_THERE = ("08", "57P")


async def connect(url: str, timeout_s: float = REACH_S) -> Any:
    """A connection, to be closed.

    Raises:
        Unreachable: when there is no way to it, or it lets nobody in.
        EnvironmentBroke: when it refuses this role.
    """
    try:
        return await asyncpg.connect(url, timeout=timeout_s)
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise unreachable(url, error) from error
    except asyncpg.PostgresError as error:
        raise refused(url, error) from error


async def answer(
    url: str, sql: str, *parameters: object, timeout_s: float = REACH_S
) -> list[dict[str, Any]]:
    """The rows of one statement, which is committed; `timeout_s` for connecting, and for it.

    Raises:
        Unreachable: when there is no way to it, or none any more.
        EnvironmentBroke: when the statement fails.
    """
    connection = await connect(url, timeout_s)
    try:
        return await fetch(connection, url, sql, *parameters, timeout_s=timeout_s)
    finally:
        connection.terminate()  # without waiting: a silent link would not let it close


async def fetch(
    connection: Any, url: str, sql: str, *parameters: object, timeout_s: float = REACH_S
) -> list[dict[str, Any]]:
    """`answer` over a connection to `url`."""
    try:
        return [dict(row) for row in await connection.fetch(sql, *parameters, timeout=timeout_s)]
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise unreachable(url, error) from error
    except asyncpg.PostgresError as error:
        raise refused(url, error) from error


def ask(
    url: str, sql: str, *parameters: object, timeout_s: float = REACH_S
) -> list[dict[str, Any]]:
    """`answer`, where there is no event loop."""
    return asyncio.run(answer(url, sql, *parameters, timeout_s=timeout_s))


def execute(url: str, script: str, *, timeout_s: float = REACH_S) -> None:
    """Run statements without parameters, all in one transaction.

    Raises:
        Unreachable: when there is no way to it, or none any more.
        EnvironmentBroke: when one of them fails.
    """
    asyncio.run(_execute(url, script, timeout_s))


async def _execute(url: str, script: str, timeout_s: float) -> None:
    connection = await connect(url, timeout_s)
    try:
        await connection.execute(script, timeout=timeout_s)
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        raise unreachable(url, error) from error
    except asyncpg.PostgresError as error:
        raise refused(url, error) from error
    finally:
        connection.terminate()


def unreachable(url: str, error: Exception) -> Unreachable:
    """Says where to, without the password, and how it failed."""
    why = str(error) or "no answer in time"
    return Unreachable(f"the database at {_place(url)} cannot be reached: {why}")


def refused(url: str, error: Exception) -> Unreachable | EnvironmentBroke:
    """What an error of PostgreSQL means: that it is not there, or that it does not do it."""
    if str(getattr(error, "sqlstate", "")).startswith(_NOT_THERE):
        return unreachable(url, error)
    return EnvironmentBroke(f"the database at {_place(url)}: {error}")


def _place(url: str) -> str:
    return url.rpartition("@")[2].partition("/")[0]

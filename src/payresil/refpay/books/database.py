"""Statements on PostgreSQL through a pool that survives a network which does not.

Every statement of the service is idempotent, so one that may or may not have happened can be
run once more on a fresh connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg

from payresil.refpay.books.hosts import Hosts
from payresil.refpay.books.pool import Pool

Row = Mapping[str, Any]


class DatabaseDownError(Exception):
    """The statement certainly did nothing: it never reached the database, or was refused."""


class DatabaseUnknownError(Exception):
    """The statement may have been committed: its answer was lost, or a standby may lack it."""


class Executor(Protocol):
    """Something that runs statements: the pool, or one transaction.

    Both methods raise DatabaseDownError or DatabaseUnknownError.
    """

    async def row(self, statement: str, *args: object) -> Row | None: ...

    async def rows(self, statement: str, *args: object) -> list[Row]: ...


#: The connection is gone, or the server says that it is going.
_BROKEN = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    # What asyncpg makes of a server's last words that cross with a statement.
    asyncpg.InternalClientError,
)
#: The server answered that it would not do it, so that it is not done.
_REFUSED = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the lease had run out
)
#: A write that says nothing: where there are synchronous standbys, its commit waits for them, and
#: so for everything that was committed before.
_WAIT_FOR_STANDBY = (
    "select pg_logical_emit_message(true, 'refpay', '')"
    " where current_setting('synchronous_standby_names') <> ''"
)
#: With these a server warns that it stopped waiting for a synchronous standby: what it says is
#: committed is so on itself alone. By code, as the text comes in the server's language.
_NOT_REPLICATED = frozenset({"01000", "57P01"})


class Database:
    """The database at ``url``; nothing connects before the first statement.

    The URL may name several hosts, of which one will do: with ``target_session_attrs=primary``
    the one that can be written to.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        connections: int,
        timeout_ms: int,
        settings: Mapping[str, str],
        session: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """``session`` gives more settings, asked for with every new connection."""
        self._timeout = timeout_ms / 1000
        self._hosts = Hosts(url)
        self._session = session
        self._warned: set[Any] = set()
        self._ending: set[asyncio.Future[None]] = set()
        self._settings = {
            "application_name": name,
            "statement_timeout": str(timeout_ms * 4 // 5),  # the server gives up first
            "jit": "off",
            **settings,
        }
        self._pool = Pool(self._connect, connections)

    async def _connect(self) -> Any:
        return await self._hosts.connect(self._timeout, self._open)

    async def _open(self, url: str, seconds: float) -> Any:
        connection = await asyncpg.connect(
            url,
            timeout=seconds,
            command_timeout=self._timeout,
            server_settings={**self._settings, **self._session()},
        )
        connection.add_log_listener(self._heard)
        return connection

    def _heard(self, connection: Any, message: Any) -> None:
        """The server warns, before it says that a statement is done."""
        if message.sqlstate in _NOT_REPLICATED:
            self._warned.add(connection)

    def _check_replicated(self, connection: Any) -> None:
        """Raises DatabaseUnknownError where a commit may be lost with its server."""
        if connection in self._warned:
            raise DatabaseUnknownError("committed, and perhaps on no standby")

    def expire(self) -> None:
        """Make new connections for all statements from now on."""
        self._pool.expire()

    def close(self) -> None:
        """Give up every connection; what a statement still waits for is abandoned."""
        for ending in self._ending:
            ending.cancel()
        self._pool.terminate()

    async def row(self, statement: str, *args: object) -> Row | None:
        rows = await self._run(statement, args)
        return rows[0] if rows else None

    async def rows(self, statement: str, *args: object) -> list[Row]:
        return await self._run(statement, args)

    async def _run(self, statement: str, args: tuple[object, ...]) -> list[Row]:
        try:
            return await self._run_once(statement, args)
        except ConnectionAbortedError:
            # A pooled connection had died: the others are suspect, a fresh one may work.
            self._pool.expire()
        try:
            found = await self._run_once(statement, args)
            # It may have found done what the first committed, without a standby having it.
            await self._run_once(_WAIT_FOR_STANDBY, ())
            return found
        except (ConnectionAbortedError, DatabaseDownError) as error:
            # Whatever became of the second try, the first may have been committed.
            raise DatabaseUnknownError(str(error)) from error

    async def _run_once(self, statement: str, args: tuple[object, ...]) -> list[Row]:
        connection = await self._acquire()
        try:
            found: list[Row] = await connection.fetch(statement, *args)
            self._check_replicated(connection)
            return found
        except TimeoutError as error:
            self._abandon(connection)
            self._pool.expire()
            raise DatabaseUnknownError("no answer in time") from error
        except _REFUSED as error:
            raise DatabaseDownError(f"refused: {type(error).__name__}") from error
        except asyncpg.QueryCanceledError as error:  # statement_timeout: rolled back
            raise DatabaseDownError("statement took too long") from error
        except _BROKEN as error:
            connection.terminate()
            self._check_replicated(connection)
            raise ConnectionAbortedError(type(error).__name__) from error
        except asyncio.CancelledError:
            connection.terminate()
            raise
        finally:
            self._release(connection)

    def _abandon(self, connection: Any) -> None:
        """End a connection, and what the server is at on it: nobody waits for that any more.

        A server does not notice that its client went while it waits for a standby, and would
        soon have no connection left for anybody.
        """
        self._pool.disown(connection)
        ending = asyncio.ensure_future(connection.close(timeout=self._timeout))
        self._ending.add(ending)
        ending.add_done_callback(self._ended)

    def _ended(self, ending: asyncio.Future[None]) -> None:
        self._ending.discard(ending)
        if not ending.cancelled():
            ending.exception()  # the server is away: there is nothing to end

    def _release(self, connection: Any) -> None:
        self._warned.discard(connection)
        self._pool.release(connection)

    async def _acquire(self) -> Any:
        try:
            return await self._pool.acquire(self._timeout)
        except (*_BROKEN, asyncpg.PostgresError) as error:
            raise DatabaseDownError(f"no connection: {type(error).__name__}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_Transaction]:
        """One transaction on one connection: for the relay and for locks of a session.

        Raises DatabaseDownError before it begins, DatabaseUnknownError from then on.
        """
        connection = await self._acquire()
        try:
            async with connection.transaction():
                yield _Transaction(connection)
            self._check_replicated(connection)
        except TimeoutError as error:
            self._abandon(connection)
            _go_on_ending(error)
            raise DatabaseUnknownError("no answer in time") from error
        except (*_BROKEN, *_REFUSED, asyncpg.QueryCanceledError) as error:
            connection.terminate()
            _go_on_ending(error)
            raise DatabaseUnknownError(type(error).__name__) from error
        except asyncio.CancelledError:
            connection.terminate()
            raise
        finally:
            self._release(connection)

    @asynccontextmanager
    async def lock(self, number: int) -> AsyncIterator[bool]:
        """Hold an advisory lock of the database, outside of any transaction; False: taken.

        It goes with its connection, so a crash leaves it to nobody. Raises DatabaseDownError.
        """
        connection = await self._acquire()
        try:
            got = await connection.fetchval("select pg_try_advisory_lock($1)", number)
            yield bool(got)
            if got:
                await connection.execute("select pg_advisory_unlock($1)", number)
        except (*_BROKEN, TimeoutError) as error:
            connection.terminate()
            raise DatabaseUnknownError(type(error).__name__) from error
        except BaseException:
            connection.terminate()  # gives the lock back, whatever happened
            raise
        finally:
            self._release(connection)


def _go_on_ending(error: Exception) -> None:
    """A task that is to end does, also where the roll-back on its way out failed.

    Raises CancelledError.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


class _Transaction:
    """Statements of one open transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def row(self, statement: str, *args: object) -> Row | None:
        found: Row | None = await self._connection.fetchrow(statement, *args)
        return found

    async def rows(self, statement: str, *args: object) -> list[Row]:
        found: list[Row] = await self._connection.fetch(statement, *args)
        return found

    async def script(self, statements: str, patience_s: float) -> None:
        """Run several statements without parameters, which may take longer than others."""
        await self._connection.execute(f"set local statement_timeout = {patience_s * 1000:.0f}")
        await self._connection.execute(statements, timeout=patience_s)

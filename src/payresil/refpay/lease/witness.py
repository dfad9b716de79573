"""The witness as an instance sees it: one connection, one question at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg


class WitnessError(Exception):
    """The witness did not answer in time, or not as it should."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """Who has the lease, or had it last; ``region`` None: nobody ever."""

    epoch: int
    region: str | None
    remaining_ms: int


class Witness:
    """The database at ``url`` with the functions of ``witness.sql``."""

    def __init__(self, url: str, *, name: str, timeout_ms: int) -> None:
        """``timeout_ms`` is what a question may take, and what a new connection may."""
        self._url = url
        self._name = name
        self._timeout = timeout_ms / 1000
        self._connection: Any = None

    async def state(self) -> LeaseState:
        """Raises WitnessError."""
        row = await self._row("select epoch, region, remaining_ms from lease_state()")
        return LeaseState(*row.values())

    async def renew(self, region: str, epoch: int, ttl_ms: int) -> bool:
        """False where the lease is not this region's in this epoch. Raises WitnessError."""
        row = await self._row("select lease_renew($1, $2, $3) as ours", region, epoch, ttl_ms)
        ours: bool = row["ours"]
        return ours

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _row(self, statement: str, *args: object) -> Mapping[str, Any]:
        try:
            if self._connection is None:
                self._connection = await self._connect()
            row: Mapping[str, Any] | None = await self._connection.fetchrow(statement, *args)
        except (
            OSError,  # a time-out is one
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as error:
            self.close()  # its answer may still come, and would be taken for that of the next
            raise WitnessError(type(error).__name__) from error
        except BaseException:
            self.close()
            raise
        if row is None:
            raise WitnessError("no lease")
        return row

    async def _connect(self) -> Any:
        return await asyncpg.connect(
            self._url,
            timeout=self._timeout,
            command_timeout=self._timeout,
            server_settings={"application_name": self._name},
        )

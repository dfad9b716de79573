"""Asks the PSP inside a database transaction: a roll-back forgets a payment that was charged.

Intent and outcome are committed together, after the PSP. Exposed by a crash, or by a database
that goes away, between the PSP's commit and the service's; a slow PSP uses up the connections.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from payresil.refpay.books.database import Database, Executor
from payresil.refpay.policies import Policies


@asynccontextmanager
async def _one_transaction(database: Database) -> AsyncIterator[Executor]:
    async with database.transaction() as transaction:
        yield transaction


def apply(sound: Policies) -> Policies:
    return replace(sound, scope=_one_transaction)

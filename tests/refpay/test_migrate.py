"""The schema applies itself, any number of times, by any number of instances at once."""

import asyncio

from payresil.refpay.books.database import Database
from payresil.refpay.books.migrate import migrate


def _database(url: str) -> Database:
    return Database(url, name="test", connections=3, timeout_ms=5000, settings={})


def test_instances_that_start_at_once_apply_the_schema_once(postgres, database_name):
    async def start() -> bool:
        database = _database(postgres.url(database_name))
        try:
            return await migrate(database)
        finally:
            database.close()

    async def main() -> list[bool]:
        return await asyncio.gather(*(start() for _ in range(3)))

    assert sorted(asyncio.run(main())) == [False, False, True]


def test_a_newer_schema_is_left_alone(postgres, database_name):
    async def main() -> bool:
        database = _database(postgres.url(database_name))
        await migrate(database)
        await database.row("update schema_version set version = 1000, digest = 'future'")
        again = await migrate(database)
        database.close()
        return again

    assert asyncio.run(main()) is False

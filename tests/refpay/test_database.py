"""The database goes away and comes back: nothing hangs, nothing is done twice."""

import asyncio
import time

import pytest

from payresil.refpay.books.database import Database, DatabaseDownError, DatabaseUnknownError


def _database(url, **options):
    return Database(url, name="test", connections=2, timeout_ms=400, settings={}, **options)


def test_connections_that_the_server_ended_are_replaced(refpay, postgres):
    refpay.pay("before-the-cut")
    postgres.sql(
        "shared",
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = 'shared' and pid <> pg_backend_pid()",
    )

    answers = [refpay.pay(f"after-the-cut-{n}").status_code for n in range(5)]

    assert answers == [201] * 5, refpay.node.log()


def test_a_silent_database_is_noticed_and_forgiven(
    start_refpay, link, postgres, database_name, psp, wait
):
    url = postgres.url(database_name).replace(str(postgres.port), str(link.port))
    service = start_refpay(DATABASE_URL=url, DB_TIMEOUT_MS="300")
    assert service.pay("before").status_code == 201

    link.silent = True
    began = time.monotonic()
    answer = service.pay("during")
    assert answer.status_code in (503, 504)
    assert time.monotonic() - began < 5
    assert service.call("GET", "/readyz").status_code == 503
    assert service.call("GET", "/healthz").status_code == 200

    link.silent = False
    wait(lambda: service.pay("after").status_code == 201, service.node.log)
    wait(lambda: service.pay("during").status_code == 201, service.node.log)
    assert len(psp.charges("during")) == 1


def test_an_answer_of_the_database_that_is_lost_is_not_a_no(postgres, link):
    async def main():
        database = _database(f"postgresql://payments@127.0.0.1:{link.port}/postgres")
        assert (await database.row("select 1 as one"))["one"] == 1
        link.silent = True
        with pytest.raises(DatabaseUnknownError):
            await database.row("select 1")
        with pytest.raises(DatabaseDownError):  # no connection to send it on
            await database.row("select 1")
        link.silent = False
        assert (await database.row("select 1 as one"))["one"] == 1
        database.close()

    asyncio.run(main())


def test_what_the_database_refuses_is_not_done(postgres, dead_database):
    async def main():
        database = _database(postgres.url("postgres"))
        with pytest.raises(DatabaseDownError):
            await database.row("select pg_sleep(2)")  # statement_timeout
        database.close()
        for url in (dead_database, postgres.url("no_such_database")):
            with pytest.raises(DatabaseDownError):
                await _database(url).row("select 1")

    asyncio.run(main())


def test_a_task_that_is_cancelled_ends_though_its_roll_back_fails(postgres, link):
    async def main():
        database = _database(f"postgresql://payments@127.0.0.1:{link.port}/postgres")
        asleep = asyncio.Event()

        async def work():
            async with database.transaction() as transaction:
                await transaction.row("select 1")
                asleep.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    link.close()  # just now the database goes away

        task = asyncio.ensure_future(work())
        await asleep.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        database.close()

    asyncio.run(main())


def test_a_lock_is_held_by_one(postgres):
    async def main():
        first, second = (_database(postgres.url("postgres")) for _ in range(2))
        async with first.lock(7) as mine, second.lock(7) as others:
            assert (mine, others) == (True, False)
        async with second.lock(7) as free:
            assert free
        first.close()
        second.close()

    asyncio.run(main())

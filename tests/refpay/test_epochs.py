"""Rows say in which epoch and region they were written, and nothing is begun after a lease."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from payresil.refpay.books import operations, payments
from payresil.refpay.books.database import Database, DatabaseDownError
from payresil.refpay.books.migrate import migrate
from payresil.refpay.books.values import NewOperation, NewPayment, Outcome


class _Session:
    """What sessions are told of the lease; a test changes it."""

    epoch = 0

    def __call__(self):
        if not self.epoch:
            return {}
        return {"refpay.epoch": str(self.epoch), "refpay.region": "b"}


@pytest.fixture
def session():
    return _Session()


@pytest.fixture
def run(postgres, database_name, session):
    """Run a coroutine function on a database with the schema."""

    def run(work):
        async def main():
            database = Database(
                postgres.url(database_name), name="b/service.1", connections=2, timeout_ms=5000,
                settings={}, session=session,
            )  # fmt: skip
            try:
                await migrate(database)
                return await work(database)
            finally:
                database.close()

        return asyncio.run(main())

    return run


def _payment(number, until=None):
    return NewPayment(f"key-{number}", b"f", f"pay_{number}", "order", 100, "eur", "automatic",
                      None, "b/service.1", 1000, "req", until)  # fmt: skip


def test_without_a_lease_rows_belong_to_no_epoch(run):
    async def work(database):
        await payments.admit(database, _payment(1))
        return await database.rows("select epoch, region from payments union all"
                                   " select epoch, region from transitions")  # fmt: skip

    assert [tuple(row) for row in run(work)] == [(None, None), (None, None)]


def test_every_change_says_its_epoch(run, session):
    async def work(database):
        session.epoch = 1
        database.expire()
        await payments.admit(database, _payment(1))
        session.epoch = 2
        database.expire()
        await payments.move(database, Outcome("pay_1", "succeeded", "answer", captured_minor=100))
        changes = await database.rows("select seq, epoch, region from transitions order by seq")
        begun = await database.row("select epoch, region from payments")
        return [tuple(row) for row in changes], tuple(begun)

    assert run(work) == ([(1, 1, "b"), (2, 2, "b")], (1, "b"))


def test_rows_of_an_older_schema_belong_to_no_epoch(run, session):
    async def work(database):
        await payments.admit(database, _payment(1))
        for table in ("payments", "transitions"):
            await database.row(f"alter table {table} drop column epoch, drop column region")
        await database.row("update schema_version set version = 1, digest = 'older'")
        session.epoch = 4
        database.expire()
        assert await migrate(database)
        await payments.admit(database, _payment(2))
        return await database.rows("select id, epoch from payments order by id")

    assert [tuple(row) for row in run(work)] == [("pay_1", None), ("pay_2", 4)]


def test_nothing_is_begun_once_the_lease_ran_out(run):
    now = datetime.now(UTC)

    async def work(database):
        late = now - timedelta(seconds=1)
        with pytest.raises(DatabaseDownError, match="refused"):
            await payments.admit(database, _payment(1, late))
        assert await payments.get(database, "pay_1") is None
        await payments.admit(database, _payment(2, now + timedelta(minutes=1)))
        refund = NewOperation("key-r", b"f", "ref_1", "refund", "pay_2", 1, "b/service.1", 1000,
                              "req", late)  # fmt: skip
        with pytest.raises(DatabaseDownError, match="refused"):
            await operations.admit(database, refund)
        return await database.row("select count(*) as keys from idempotency_keys")

    assert run(work)["keys"] == 1

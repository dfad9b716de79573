"""A commit that no standby has is unknown: whoever reads it, and however the wait for one ended."""

import asyncio
import concurrent.futures

import pytest

from payresil.refpay.books import payments
from payresil.refpay.books.database import Database, DatabaseUnknownError
from payresil.refpay.books.migrate import migrate
from payresil.refpay.books.values import NewPayment, Outcome

_WAITING = (
    "select pid from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()"
)


@pytest.fixture
def standby(postgres, wait):
    """``lose`` makes every commit wait for a standby that is not there; ``replace`` ends it."""

    class Standby:
        def lose(self):
            postgres.sql("postgres", "alter system set synchronous_standby_names = 'nowhere'")
            self._reload("nowhere")

        def replace(self):
            postgres.sql("postgres", "alter system reset synchronous_standby_names")
            self._reload("")

        def _reload(self, wanted):
            postgres.sql("postgres", "select pg_reload_conf()")
            shown = "show synchronous_standby_names"
            wait(lambda: postgres.sql("postgres", shown).strip() == wanted)

    made = Standby()
    yield made
    made.replace()


@pytest.fixture
def end_waits(postgres, database_name, wait):
    """End the wait of a backend of the test's database, once there is one, with a function."""

    def end(how):
        wait(lambda: postgres.sql(database_name, _WAITING).strip())
        postgres.sql(database_name, f"select {how}(pid) from ({_WAITING}) w")

    return end


def _new(number):
    return NewPayment(f"key-{number}", b"f", f"pay_{number}", "order", 100, "eur", "automatic",
                      None, "a/service.1", 1000, "req")  # fmt: skip


@pytest.fixture
def run(postgres, database_name):
    """Run a coroutine function on a database with the schema."""

    def run(work, timeout_ms=10_000):
        async def main():
            database = Database(postgres.url(database_name), name="test", connections=3,
                                timeout_ms=timeout_ms, settings={})  # fmt: skip
            try:
                return await work(database)
            finally:
                database.close()

        return asyncio.run(main())

    run(migrate)
    return run


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_wait_that_is_ended_leaves_the_payment_unknown(run, standby, end_waits, how):
    async def work(database):
        standby.lose()
        with pytest.raises(DatabaseUnknownError, match="on no standby"):
            await asyncio.gather(
                payments.admit(database, _new(1)), asyncio.to_thread(end_waits, how)
            )
        standby.replace()
        return await payments.get(database, "pay_1")

    assert run(work).state == "processing"  # it is there: it may yet be lost, or found


async def _admit(database):
    await payments.admit(database, _new(1))


async def _admit_in_a_transaction(database):
    async with database.transaction() as transaction:
        await payments.admit(transaction, _new(1))


@pytest.mark.parametrize("admit", [_admit, _admit_in_a_transaction])
def test_a_wait_that_lasts_too_long_leaves_the_payment_unknown(
    run, standby, postgres, database_name, wait, admit
):
    async def work(database):
        standby.lose()
        with pytest.raises(DatabaseUnknownError, match="in time"):
            await admit(database)
        # The server does not keep a backend waiting that nobody listens to.
        await asyncio.to_thread(wait, lambda: not postgres.sql(database_name, _WAITING).strip())

    run(work, timeout_ms=300)


def test_in_a_transaction_too(run, standby, end_waits):
    async def work(database):
        standby.lose()
        with pytest.raises(DatabaseUnknownError, match="on no standby"):
            await asyncio.gather(
                _admit_in_a_transaction(database),
                asyncio.to_thread(end_waits, "pg_cancel_backend"),
            )

    run(work)


def test_what_no_standby_has_is_told_to_nobody(run, standby, end_waits):
    async def work(database):
        await payments.admit(database, _new(1))
        standby.lose()
        moved = payments.move(database, Outcome("pay_1", "succeeded", "answer", captured_minor=1))
        with pytest.raises(DatabaseUnknownError):
            await asyncio.gather(moved, asyncio.to_thread(end_waits, "pg_cancel_backend"))
        for read in (payments.get(database, "pay_1"), payments.by_reference(database, "order")):
            with pytest.raises(DatabaseUnknownError):
                await asyncio.gather(read, asyncio.to_thread(end_waits, "pg_cancel_backend"))
        standby.replace()
        return await payments.get(database, "pay_1")

    assert run(work).state == "succeeded"


def test_a_connection_that_was_warned_once_is_good_again(run, standby, end_waits):
    async def work(database):
        standby.lose()
        with pytest.raises(DatabaseUnknownError):
            await asyncio.gather(
                payments.admit(database, _new(1)),
                asyncio.to_thread(end_waits, "pg_cancel_backend"),
            )
        standby.replace()
        return (await payments.admit(database, _new(2))).fresh

    assert run(work)


def test_a_payment_that_cannot_be_made_safe_is_not_taken(start_refpay, psp, standby):
    service = start_refpay(DB_TIMEOUT_MS="400")
    assert service.pay("calm").status_code == 201
    standby.lose()

    assert service.pay("unsafe").status_code == 504
    # Sent again it waits for a standby too, or for the one before: it does nothing.
    assert service.pay("unsafe").status_code in (503, 504)
    assert psp.charges("unsafe") == []


def test_a_charge_that_cannot_be_written_down_is_unknown_and_then_found(
    start_refpay, psp, postgres, database_name, standby, wait
):
    service = start_refpay(DB_TIMEOUT_MS="400", PSP_TIMEOUT_MS="3000", PSP_DEADLINE_MS="4000")
    reference = f"charged-{database_name}"
    psp.rule("before_commit", "delay", action={"delay_ms": 700}, match={"reference": reference})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        paying = pool.submit(service.pay, reference)
        admitted = f"select 1 from payments where reference = '{reference}'"
        wait(lambda: postgres.sql(database_name, admitted).strip())
        standby.lose()
        answer = paying.result()

    assert (answer.status_code, answer.json()["state"]) == (202, "processing")
    assert len(psp.charges(reference)) == 1
    assert service.call("GET", f"/payments/{answer.json()['id']}").status_code == 504

    standby.replace()
    psp.heal()
    service.settled()
    assert service.pay(reference).json()["state"] == "succeeded"
    assert len(psp.charges(reference)) == 1

"""The witness' functions: whoever asks at once, one region has the lease, on one clock."""

import asyncio
import time
from importlib.resources import files

import asyncpg
import pytest

from payresil.refpay.lease.witness import LeaseState, Witness, WitnessError

_SCRIPT = (files("payresil.refpay.lease") / "witness.sql").read_text(encoding="utf-8")


@pytest.fixture
def witness(postgres, database_name):
    """The URL of a witness."""
    postgres.sql(database_name, _SCRIPT)
    return postgres.url(database_name)


@pytest.fixture
def ask(postgres, database_name, witness):
    return lambda call: postgres.sql(database_name, f"select * from {call}").strip()


def test_the_script_may_be_run_again(ask, postgres, database_name):
    ask("lease_take('a')")
    postgres.sql(database_name, _SCRIPT)

    assert ask("lease_state()").startswith("1|a|")


def test_nobody_has_a_new_lease(ask):
    assert ask("lease_state()") == "0||0"
    assert ask("lease_history()") == ""


def test_a_lease_that_is_held_is_taken_by_nobody(ask):
    taken, epoch, remaining = ask("lease_take('a')").split("|")
    assert (taken, epoch, remaining) == ("t", "1", "2000")

    for region in ("a", "b"):
        taken, epoch, remaining = ask(f"lease_take('{region}')").split("|")
        assert (taken, epoch) == ("f", "1")
        assert 0 < int(remaining) <= 2000


def test_one_that_ran_out_is_taken_in_the_next_epoch(ask, wait):
    ask("lease_take('a', 50)")
    wait(lambda: ask("lease_take('b', 60000)").startswith("t|2|60000"))

    assert ask("lease_state()").startswith("2|b|")
    assert ask("lease_renew('a', 1, 2000)") == "f"
    assert ask("lease_renew('a', 2, 2000)") == "f"
    history = [line.split("|") for line in ask("lease_history()").split()]
    assert [row[:2] for row in history] == [["1", "a"], ["2", "b"]]
    moments = [int(row[2]) / 1e6 for row in history]
    assert moments[0] + 0.05 <= moments[1] <= time.time()


def test_a_renewal_gives_more_time_and_never_less(ask):
    ask("lease_take('a', 100)")
    assert ask("lease_renew('a', 1, 60000)") == "t"
    assert ask("lease_renew('a', 1, 10)") == "t"

    assert int(ask("lease_state()").split("|")[2]) > 50_000


def test_one_that_ran_out_can_be_renewed_until_it_is_taken(ask, wait):
    ask("lease_take('a', 20)")
    wait(lambda: ask("lease_state()") == "1|a|0")

    assert ask("lease_renew('a', 1, 60000)") == "t"
    assert ask("lease_take('b')").startswith("f|1|")


def test_a_retired_epoch_runs_out_for_good(ask, wait):
    ask("lease_take('a', 100)")
    assert ask("lease_retire(0)") == "f"
    assert ask("lease_retire(1)") == "t"

    assert ask("lease_renew('a', 1, 60000)") == "f"
    wait(lambda: ask("lease_take('a', 60000)").startswith("t|2|"))
    assert ask("lease_renew('a', 2, 60000)") == "t"


@pytest.mark.parametrize("call", ["lease_take(null)", "lease_take('a', 0)"])
def test_nonsense_is_refused(witness, call):
    async def main():
        connection = await asyncpg.connect(witness)
        try:
            with pytest.raises(asyncpg.RaiseError, match="needs a region"):
                await connection.fetch(f"select * from {call}")
        finally:
            await connection.close()

    asyncio.run(main())


def test_of_many_takers_at_once_one_wins(witness):
    async def take(region):
        connection = await asyncpg.connect(witness)
        try:
            return await connection.fetchrow("select * from lease_take($1, 60000)", region)
        finally:
            await connection.close()

    async def main():
        return await asyncio.gather(*(take(region) for region in "abababab"))

    assert sorted(row["taken"] for row in asyncio.run(main())) == [False] * 7 + [True]


def test_a_taker_waits_for_a_renewer(witness):
    """The renewer has the row: what the taker finds is what it left."""

    async def main():
        renewer, taker = [await asyncpg.connect(witness) for _ in range(2)]
        await renewer.fetch("select * from lease_take('a', 1)")
        async with renewer.transaction():
            assert await renewer.fetchval("select lease_renew('a', 1, 60000)")
            taking = asyncio.ensure_future(taker.fetchrow("select * from lease_take('b')"))
            blocked = "select count(*) from pg_locks where not granted"
            while not await renewer.fetchval(blocked):
                await asyncio.sleep(0.01)
        row = await taking
        for connection in (renewer, taker):
            await connection.close()
        return row

    assert asyncio.run(main())["taken"] is False


def test_an_instance_asks_and_renews(witness, ask):
    async def main():
        client = Witness(witness, name="a/service.1", timeout_ms=5000)
        assert await client.state() == LeaseState(0, None, 0)
        assert not await client.renew("a", 1, 2000)
        ask("lease_take('a', 60000)")
        assert await client.renew("a", 1, 2000)
        assert (await client.state()).epoch == 1
        client.close()

    asyncio.run(main())


def test_a_witness_that_is_silent_is_an_error_in_time_and_forgiven(
    witness, link, database_name, ask
):
    async def main():
        url = f"postgresql://payments@127.0.0.1:{link.port}/{database_name}"
        client = Witness(url, name="a/service.1", timeout_ms=300)
        await client.state()
        link.silent = True
        for _ in range(2):  # on the connection that there is, and on a new one
            began = time.monotonic()
            with pytest.raises(WitnessError):
                await client.state()
            assert time.monotonic() - began < 5
        link.silent = False
        await client.state()
        client.close()

    asyncio.run(main())


def test_a_witness_that_is_not_there_is_an_error(dead_database, postgres):
    async def main(url):
        with pytest.raises(WitnessError):
            await Witness(url, name="a/service.1", timeout_ms=2000).state()

    asyncio.run(main(dead_database))
    asyncio.run(main(postgres.url("postgres")))  # a database without the functions

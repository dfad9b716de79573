"""The ledger balances whatever happens to payments, and in whatever order."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.refpay.books import corrections, operations, payments
from payresil.refpay.books.database import Database
from payresil.refpay.books.migrate import migrate
from payresil.refpay.books.values import NewOperation, NewPayment, Outcome

_numbers = itertools.count(1)
_STATES = st.sampled_from(["succeeded", "authorized", "declined", "failed", "canceled"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), _STATES),
        st.tuples(st.sampled_from(["refund", "capture"]), st.integers(1, 1500)),
        st.tuples(st.just("cancel"), st.none()),
        st.tuples(st.just("finish"), st.sampled_from(["succeeded", "failed"])),
    ),
    max_size=10,
)
_LEGAL = {
    (None, "processing"),
    *(("processing", to) for to in ("succeeded", "authorized", "declined", "failed", "canceled")),
    ("authorized", "succeeded"),
    ("authorized", "canceled"),
}


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as loop:
        yield loop


@pytest.fixture(scope="module")
def database(runner, postgres):
    postgres.create("ledger")
    made = Database(postgres.url("ledger"), name="test", connections=4, timeout_ms=5000,
                    settings={})  # fmt: skip
    runner.run(migrate(made))
    yield made
    made.close()


async def _pay(database, amount):
    number = next(_numbers)
    new = NewPayment(f"key-{number}", b"f", f"pay_{number}", f"order-{number}", amount, "eur",
                     "automatic", None, "a/service.1", 1000, "req")  # fmt: skip
    assert (await payments.admit(database, new)).fresh
    return new.id


async def _live(database, steps):
    """A payment's life; each step does what it may, or nothing."""
    id_ = await _pay(database, 1000)
    begun = []
    for step, value in steps:
        if step == "move":
            captured = 1000 if value == "succeeded" else 0
            await payments.move(database, Outcome(id_, value, "answer", captured_minor=captured))
        elif step == "finish":
            if begun:
                await operations.move(database, Outcome(begun[-1], value, "answer"))
        else:
            number = next(_numbers)
            new = NewOperation(f"key-{number}", b"f", f"op_{number}", step, id_, value,
                               "a/service.1", 1000, "req")  # fmt: skip
            if (await operations.admit(database, new)).verdict == "fresh":
                begun.append(new.id)
    return id_


async def _rows(database, statement, *args):
    return [tuple(row.values()) for row in await database.rows(statement, *args)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_STEPS)
def test_a_payments_life_keeps_the_books_right(runner, database, steps):
    async def main():
        id_ = await _live(database, steps)
        payment = await payments.get(database, id_)
        entries = await _rows(
            database,
            "select account, sum(amount_minor)::bigint from entries where payment = $1 group by 1",
            id_,
        )
        net = payment.captured_minor - payment.refunded_minor
        assert dict(entries).get("psp_receivable", 0) == net
        assert dict(entries).get("merchant_payable", 0) == -net
        reserved = await _rows(
            database,
            "select coalesce(sum(amount_minor), 0)::bigint from operations where payment = $1"
            " and kind = 'refund' and state <> 'failed'",
            id_,
        )
        assert payment.refunded_minor <= reserved[0][0] <= payment.captured_minor
        moves = await _rows(
            database,
            "select seq, from_state, to_state from transitions where payment = $1"
            " and operation is null order by seq",
            id_,
        )
        assert [seq for seq, _, _ in moves] == list(range(1, len(moves) + 1))
        assert {(before, after) for _, before, after in moves} <= _LEGAL
        assert moves[-1][2] == payment.state
        assert [m[2] for m in moves[:-1]] == [m[1] for m in moves[1:]]

    runner.run(main())


def test_balances_are_the_sums_of_entries_however_many_post_at_once(runner, database):
    async def main():
        ids = [await _pay(database, 100 + n) for n in range(20)]
        outcomes = [Outcome(id_, "succeeded", "answer", captured_minor=100) for id_ in ids]
        await asyncio.gather(*(payments.move(database, o) for o in (*outcomes, *outcomes)))
        kept = await _rows(
            database,
            "select account, currency, sum(balance_minor)::bigint from balances group by 1, 2"
            " having sum(balance_minor) <> 0 order by 1, 2",
        )
        booked = await _rows(
            database,
            "select account, currency, sum(amount_minor)::bigint from entries group by 1, 2"
            " having sum(amount_minor) <> 0 order by 1, 2",
        )
        assert kept == booked
        wrong = await _rows(
            database,
            "select journal from entries group by journal, currency having sum(amount_minor) <> 0",
        )
        assert wrong == []

    runner.run(main())


@pytest.mark.parametrize(
    "statement",
    [
        "insert into entries values ('x', 1, 'capture', 'p', 'a', 5, 'eur')",
        "insert into entries values ('x', 1, 'capture', 'p', 'a', 5, 'eur'),"
        " ('x', 2, 'capture', 'p', 'b', -4, 'eur')",
        "insert into entries values ('x', 1, 'capture', 'p', 'a', 5, 'eur'),"
        " ('x', 2, 'capture', 'p', 'b', -5, 'usd')",
        "update entries set amount_minor = 1",
        "delete from entries",
        "truncate entries",
    ],
)
def test_the_ledger_defends_itself(runner, database, statement):
    import asyncpg

    async def main():
        await payments.move(
            database,
            Outcome(await _pay(database, 1000), "succeeded", "answer", captured_minor=1000),
        )
        with pytest.raises(asyncpg.CheckViolationError):
            await database.row(statement)

    runner.run(main())


def test_a_move_that_was_made_is_not_made_again(runner, database):
    async def main():
        id_ = await _pay(database, 1000)
        paid = Outcome(id_, "succeeded", "answer", "pi_1", "ch_1", 1000)
        first, _ = await payments.move(database, paid)
        again, row = await payments.move(database, Outcome(id_, "declined", "webhook"))
        assert (first, again, row["state"]) == (True, False, "succeeded")
        assert await payments.move(database, Outcome("pay_none", "succeeded", "answer")) is None

    runner.run(main())


def test_an_admission_repeated_after_a_lost_answer_is_still_fresh(runner, database):
    async def main():
        number = next(_numbers)
        new = NewPayment(f"key-{number}", b"f", f"pay_{number}", "order", 1, "eur", "automatic",
                         None, "a/service.1", 1000, "req_1")  # fmt: skip
        assert (await payments.admit(database, new)).fresh
        assert (await payments.admit(database, new)).fresh
        made = await payments.admit(database, replace(new, request="req_2"))
        assert (made.fresh, made.resource) == (False, new.id)

    runner.run(main())


def test_a_payment_that_came_back_without_its_key_is_found(runner, database):
    async def main():
        number = next(_numbers)
        new = NewPayment(f"key-{number}", b"f", f"pay_{number}", "order", 1, "eur", "automatic",
                         None, "a/service.1", 1000, "req_1")  # fmt: skip
        await corrections.adopt_payment(database, new.id, "order", 1, "eur", "automatic")
        made = await payments.admit(database, new)
        assert (made.fresh, made.resource) == (False, new.id)

    runner.run(main())

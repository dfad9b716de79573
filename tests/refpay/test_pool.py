"""The pool of connections, with connections that are only objects."""

import asyncio

import pytest

from payresil.refpay.books.pool import Pool


class _Connection:
    def __init__(self):
        self.closed = False

    def is_closed(self):
        return self.closed

    def terminate(self):
        self.closed = True


class _Server:
    """Makes connections, or refuses to."""

    def __init__(self):
        self.made = []
        self.refuses = False

    async def connect(self):
        if self.refuses:
            raise ConnectionRefusedError
        self.made.append(_Connection())
        return self.made[-1]


@pytest.fixture
def server():
    return _Server()


def test_the_last_one_given_back_is_lent_first(server):
    async def main():
        pool = Pool(server.connect, 2)
        first, second = await pool.acquire(1), await pool.acquire(1)
        pool.release(first)
        pool.release(second)
        assert await pool.acquire(1) is second

    asyncio.run(main())


def test_who_waits_gets_what_is_given_back(server):
    async def main():
        pool = Pool(server.connect, 1)
        lent = await pool.acquire(1)
        waiting = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        pool.release(lent)
        assert await waiting is lent
        assert len(server.made) == 1

    asyncio.run(main())


def test_who_waits_too_long_leaves_nothing_behind(server):
    async def main():
        pool = Pool(server.connect, 1)
        lent = await pool.acquire(1)
        with pytest.raises(TimeoutError):
            await pool.acquire(0.001)
        pool.release(lent)
        assert await pool.acquire(1) is lent

    asyncio.run(main())


def test_what_was_expired_is_replaced(server):
    async def main():
        pool = Pool(server.connect, 2)
        idle, lent = await pool.acquire(1), await pool.acquire(1)
        pool.release(idle)
        pool.expire()
        pool.release(lent)
        fresh = await pool.acquire(1)
        assert fresh not in (idle, lent)
        assert idle.closed
        assert lent.closed

    asyncio.run(main())


def test_one_that_is_disowned_makes_room_and_is_left_alone(server):
    async def main():
        pool = Pool(server.connect, 1)
        lent = await pool.acquire(1)
        waiting = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        pool.disown(lent)
        pool.release(lent)
        assert await waiting is server.made[1]
        assert not lent.closed

    asyncio.run(main())


def test_one_that_was_expired_while_it_was_made_is_made_again(server):
    async def main():
        async def connect():
            made = await server.connect()
            if len(server.made) == 1:
                pool.expire()
            return made

        pool = Pool(connect, 1)
        assert await pool.acquire(1) is server.made[1]
        assert server.made[0].closed

    asyncio.run(main())


def test_a_closed_one_makes_room_for_who_waits(server):
    async def main():
        pool = Pool(server.connect, 1)
        lent = await pool.acquire(1)
        waiting = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        lent.terminate()
        pool.release(lent)
        assert await waiting is server.made[1]

    asyncio.run(main())


def test_a_server_that_refuses_does_not_use_up_the_pool(server):
    async def main():
        pool = Pool(server.connect, 1)
        server.refuses = True
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await pool.acquire(1)
        server.refuses = False
        assert await pool.acquire(1) is server.made[0]

    asyncio.run(main())

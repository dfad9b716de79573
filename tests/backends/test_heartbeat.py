"""Leases are renewed while the harness lives, and what fails to be renewed is noticed."""

from __future__ import annotations

import queue
from collections.abc import Callable

import pytest

from payresil.backends.heartbeat import ABSENT_TTL_MS, Heartbeat
from payresil.core.protocols import EnvironmentBroke

Until = Callable[[Callable[[], object]], None]


def test_a_lease_is_renewed_at_once_and_again_and_again() -> None:
    renewed: queue.Queue[int] = queue.Queue()
    heartbeat = Heartbeat({"it": renewed.put}, period_s=0.001, ttl_ms=50)
    try:
        assert [renewed.get(timeout=20) for _ in range(3)] == [50, 50, 50]
        heartbeat.check()
    finally:
        heartbeat.close()


def test_nothing_is_renewed_after_close() -> None:
    renewed: list[int] = []
    heartbeat = Heartbeat({"it": renewed.append}, period_s=0.001)
    heartbeat.close()
    count = len(renewed)
    assert not heartbeat._thread.is_alive()
    assert len(renewed) == count


def test_the_first_renewal_must_succeed() -> None:
    with pytest.raises(EnvironmentBroke, match="no lease here"):
        Heartbeat({"it": _refuse})


def _refuse(_ttl_ms: int) -> None:
    raise EnvironmentBroke("no lease here")


class Keeper:
    """Keeps a lease, and may stop doing so."""

    def __init__(self) -> None:
        self.fails = False
        self.asked: list[int] = []

    def renew(self, ttl_ms: int) -> None:
        self.asked.append(ttl_ms)
        if self.fails:
            raise EnvironmentBroke("it does not answer")


def test_a_lease_that_ran_out_is_an_error_and_one_late_renewal_is_not(until: Until) -> None:
    keeper = Keeper()
    heartbeat = Heartbeat({"psp": keeper.renew}, period_s=0.001, ttl_ms=20)
    try:
        keeper.fails = True
        until(lambda: _broken(heartbeat))
        with pytest.raises(EnvironmentBroke, match=r"psp: the lease .* does not answer"):
            heartbeat.check()
        keeper.fails = False
        until(lambda: not _broken(heartbeat))
    finally:
        heartbeat.close()


def _broken(heartbeat: Heartbeat) -> bool:
    try:
        heartbeat.check()
    except EnvironmentBroke:
        return True
    return False


def test_who_is_known_to_be_away_is_not_asked_and_finds_its_faults_again(until: Until) -> None:
    keeper = Keeper()
    heartbeat = Heartbeat({"psp": keeper.renew}, period_s=0.001, ttl_ms=20)
    try:
        heartbeat.expect_silence("psp")
        assert keeper.asked[-1] == ABSENT_TTL_MS or ABSENT_TTL_MS in keeper.asked
        heartbeat.expect_silence("psp")  # a second fault on the same node
        heartbeat.expect_silence("a/db")  # keeps no lease
        assert keeper.asked.count(ABSENT_TTL_MS) == 1
        keeper.fails = True
        heartbeat.check()
        keeper.fails = False
        heartbeat.expect_answers("psp")
        count = len(keeper.asked)
        until(lambda: len(keeper.asked) > count)
    finally:
        heartbeat.close()

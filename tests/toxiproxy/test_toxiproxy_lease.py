"""The lease, on a clock that only moves when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.toxiproxy.lease import MAX_TTL_MS, Lease


@dataclass(eq=False)
class Call:
    when: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Clock:
    now: float = 100.0
    calls: list[Call] = field(default_factory=list)
    expired_at: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Call:
        call = Call(self.now + seconds, callback)
        self.calls.append(call)
        return call

    def advance(self, seconds: float) -> None:
        """Move on, running what falls due."""
        end = self.now + seconds
        while due := [call for call in self.calls if not call.cancelled and call.when <= end]:
            call = min(due, key=lambda one: one.when)
            self.calls.remove(call)
            self.now = max(self.now, call.when)
            call.callback()
        self.now = end


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease_on(clock: Clock) -> Lease:
    return Lease(clock.read, clock.call_later, lambda: clock.expired_at.append(clock.now))


def test_it_runs_out_once(clock: Clock) -> None:
    lease = lease_on(clock)
    lease.arm(3000)
    clock.advance(2.9)
    assert clock.expired_at == []
    assert lease.state()["remaining_ms"] == 100
    clock.advance(100)
    assert clock.expired_at == [103.0]
    assert lease.state()["armed"] is False
    assert lease.state()["expirations"] == 1


def test_renewals_keep_it_alive(clock: Clock) -> None:
    lease = lease_on(clock)
    for _ in range(10):
        lease.arm(3000)
        clock.advance(2.999)
    assert clock.expired_at == []
    assert lease.state()["renewals"] == 9
    clock.advance(1)
    assert len(clock.expired_at) == 1


def test_a_renewal_may_shorten_it(clock: Clock) -> None:
    lease = lease_on(clock)
    lease.arm(60_000)
    lease.arm(500)
    clock.advance(1)
    assert clock.expired_at == [100.5]


def test_disarmed_it_never_runs_out(clock: Clock) -> None:
    lease = lease_on(clock)
    lease.arm(3000)
    lease.disarm()
    lease.disarm()
    clock.advance(1000)
    assert clock.expired_at == []
    assert lease.state()["armed"] is False


def test_it_can_be_armed_again_after_it_ran_out(clock: Clock) -> None:
    lease = lease_on(clock)
    lease.arm(1000)
    clock.advance(5)
    lease.arm(1000)
    assert lease.state()["renewals"] == 0
    clock.advance(5)
    assert clock.expired_at == [101.0, 106.0]


def test_a_timer_that_fires_early_does_not_cut_it_short(clock: Clock) -> None:
    lease = lease_on(clock)
    lease.arm(1000)
    clock.advance(0.999)
    early = clock.calls.pop()
    early.callback()
    assert clock.expired_at == []
    clock.advance(1)
    assert clock.expired_at == [pytest.approx(101.0)]


@pytest.mark.parametrize("ttl_ms", [0, -1, MAX_TTL_MS + 1])
def test_times_out_of_range_are_refused(clock: Clock, ttl_ms: int) -> None:
    with pytest.raises(ValueError, match="ttl_ms must be between 1 and 86400000"):
        lease_on(clock).arm(ttl_ms)
    assert clock.calls == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 5000)), min_size=1, max_size=20))
def test_it_runs_out_exactly_when_a_gap_is_longer_than_the_lease(
    history: list[tuple[int, int]],
) -> None:
    clock = Clock(now=0.0)
    lease = lease_on(clock)
    for ttl_ms, gap_ms in history:
        lease.arm(ttl_ms)
        expired = len(clock.expired_at)
        clock.advance(gap_ms / 1000)
        # Equal times are decided by rounding, either way is right.
        if gap_ms != ttl_ms:
            assert (len(clock.expired_at) > expired) == (gap_ms > ttl_ms)

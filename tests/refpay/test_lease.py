"""An instance's lease: counted from when a renewal was sent, never longer than the witness says."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from payresil.refpay.eventlog import EventLog
from payresil.refpay.lease.held import Lease
from payresil.refpay.lease.keeping import Keeper
from payresil.refpay.lease.standing import Standing
from payresil.refpay.lease.witness import LeaseState, WitnessError


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


class _Witness:
    """A witness with a network in front of it; ``away`` loses everything."""

    def __init__(self, clock):
        self._clock = clock
        self.epoch, self.region = 1, "a"
        self.away = False
        self.takes_s = 0.0

    async def state(self):
        self._reach()
        return LeaseState(self.epoch, self.region, 0)

    async def renew(self, region, epoch, ttl_ms):
        self._reach()
        return (region, epoch) == (self.region, self.epoch)

    def _reach(self):
        self._clock.now += self.takes_s
        if self.away:
            raise WitnessError("TimeoutError")


class _Region:
    """An instance of region a, its clock and its witness."""

    def __init__(self):
        self.clock = _Clock()
        self.witness = _Witness(self.clock)
        self.lease = Lease("a", 2000, self.clock)
        self.begun = []
        self._keeper = Keeper(
            self.lease, self.witness, every_ms=400, begins=self.begun.append,
            log=EventLog("a/service.1", fd=2), clock=self.clock,
        )  # fmt: skip

    def once(self):
        asyncio.run(self._keeper.once())


@pytest.fixture
def region():
    return _Region()


def test_nothing_is_held_before_the_first_renewal(region):
    assert not region.lease.held
    assert region.lease.epoch is None


def test_it_counts_from_when_the_renewal_was_sent(region):
    region.witness.takes_s = 0.25  # the question who has it, and then the renewal
    region.once()

    assert region.begun == [1]
    assert region.lease.left_s == pytest.approx(2.0 - 0.2 - 0.25)


def test_a_renewal_that_failed_adds_nothing(region):
    region.once()
    region.witness.away = True
    region.clock.now += 1.7
    region.once()
    assert region.lease.held

    region.clock.now += 0.2
    assert not region.lease.held
    assert region.lease.left_s == 0


def test_another_regions_lease_is_not_ours(region):
    region.witness.region = "b"
    region.once()
    assert not region.lease.held
    assert region.begun == []


def test_it_is_gone_at_once_when_the_witness_says_so(region):
    region.once()
    region.witness.epoch, region.witness.region = 2, "b"
    region.once()

    assert not region.lease.held
    assert region.lease.epoch == 1


def test_it_comes_back_in_the_same_epoch_without_a_beginning(region):
    region.once()
    region.witness.away = True
    region.clock.now += 5
    region.once()
    region.witness.away = False
    region.once()

    assert region.lease.held
    assert region.begun == [1]


def test_a_new_epoch_of_our_region_begins(region):
    region.once()
    region.witness.epoch = 3
    region.once()  # refused in the old one
    region.once()

    assert region.lease.held
    assert (region.begun, region.lease.epoch) == ([1, 3], 3)


def test_silence_of_the_witness_is_said_once(region, capfd):
    region.witness.away = True
    for _ in range(3):
        region.once()

    assert capfd.readouterr().err.count("witness.unavailable") == 1


def test_without_a_lease_an_instance_always_acts():
    standing = Standing(None, lambda held: held)

    assert standing.acts
    assert (standing.epoch, standing.until(), standing.session()) == (None, None, {})


def test_with_a_lease_it_acts_while_it_holds_it(region):
    standing = Standing(region.lease, lambda held: held)
    assert not standing.acts
    assert standing.session() == {}
    region.once()

    assert standing.acts
    assert standing.session() == {"refpay.epoch": "1", "refpay.region": "a"}
    left = standing.until() - datetime.now(UTC)
    assert timedelta(seconds=1.7) < left <= timedelta(seconds=1.8)

    region.clock.now += 3
    assert not standing.acts
    assert standing.until() <= datetime.now(UTC)
    assert standing.epoch == 1


def test_who_acts_without_a_lease_sets_no_end_to_what_it_asks(region):
    assert Standing(region.lease, lambda held: True).until() is None

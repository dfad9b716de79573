"""Keeps a region's lease: renews it while it is ours, and looks out for it while it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from payresil.refpay.eventlog import EventLog
from payresil.refpay.lease.held import Lease
from payresil.refpay.lease.witness import LeaseState, WitnessError

#: How often an instance without the lease asks who has it.
_LOOK_EVERY_S = 0.15


class AsksWitness(Protocol):
    """Both methods raise WitnessError."""

    async def state(self) -> LeaseState: ...

    async def renew(self, region: str, epoch: int, ttl_ms: int) -> bool: ...


class Keeper:
    """``begins`` is called with every epoch of our region that is new to this instance."""

    def __init__(
        self,
        lease: Lease,
        witness: AsksWitness,
        *,
        every_ms: int,
        begins: Callable[[int], None],
        log: EventLog,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._lease = lease
        self._witness = witness
        self._every = every_ms / 1000
        self._begins = begins
        self._log = log
        self._clock = clock
        self._had = False
        self._silent = False

    async def run(self) -> None:
        """For ever."""
        while True:
            began = self._clock()
            await self.once()
            every = self._every if self._lease.held else _LOOK_EVERY_S
            await asyncio.sleep(max(0.02, began + every - self._clock()))

    async def once(self) -> None:
        """Renew the lease, or find out whether it is ours now."""
        try:
            await self._renew()
        except WitnessError as error:
            self._say_silence(str(error))
        else:
            self._silent = False
        self._say_change()

    async def _renew(self) -> None:
        lease = self._lease
        epoch = lease.epoch if lease.held else await self._learn()
        if epoch is None:
            lease.lost()
            return
        sent = self._clock()
        if not await self._witness.renew(lease.region, epoch, lease.ttl_ms):
            lease.lost()
            return
        new = epoch != lease.epoch
        lease.renewed(epoch, sent)
        if new:
            self._begins(epoch)

    async def _learn(self) -> int | None:
        """The epoch of our region, if the lease is its."""
        state = await self._witness.state()
        return state.epoch if state.region == self._lease.region else None

    def _say_silence(self, error: str) -> None:
        if not self._silent:
            self._log.warning("witness.unavailable", error=error)
        self._silent = True

    def _say_change(self) -> None:
        held = self._lease.held
        if held != self._had:
            self._log.warning("lease.held" if held else "lease.lost", epoch=self._lease.epoch)
        self._had = held

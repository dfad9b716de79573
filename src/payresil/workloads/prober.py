"""The prober: small real payments at a steady beat, each over a connection of its own.

    python -m payresil.workloads.prober --spec FIFO

It shows when the service is there, whatever the customers do: an open loop, no retries, no
connection that outlived a fault, a time-out taken from the objective. Its payments are judged
for money like all others. SIGTERM stops it; probes in flight are finished.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from payresil.core.mapping import Answer, MappingError, build, classify, unanswered
from payresil.core.tables import Recorder
from payresil.core.traffic import TrafficError, TrafficSpec
from payresil.workloads.allowance import Allowance
from payresil.workloads.attempts import Attempt, Intent
from payresil.workloads.connection import Address, Connection
from payresil.workloads.delivery import USAGE, arguments, receive
from payresil.workloads.logs import note, to_stderr
from payresil.workloads.purchase import values_of
from payresil.workloads.reserving import Reservations

_log = logging.getLogger("payresil.workloads.prober")
_MOST_A_SECOND = 10.0
_FLUSH_EVERY_S = 0.25
_LOOK_AGAIN_S = 0.1  # after the service said that it is still at work
_BLOCK = 20  # intent numbers reserved at a time


class Prober:
    """One run's probes."""

    def __init__(self, spec: TrafficSpec) -> None:
        """Everything that can be wrong with `spec` shows here.

        Raises:
            MappingError, ValueError, OSError: as they say.
        """
        rate = min(float(spec.probe_rate), _MOST_A_SECOND)
        if rate <= 0:
            raise ValueError("probe_rate: expected more than 0/s")
        workload = spec.workload
        self._spec = spec
        self._address = Address(spec.base_url, spec.ca_file)
        self._beat_ns = round(1e9 / rate)
        self._first_ns = -workload.warm_up.ns
        self._count = max(0, (workload.duration.ns - self._first_ns) // self._beat_ns)
        self._stopping = asyncio.Event()
        self._allowance = Allowance(spec.probe_limit)
        folder = Path(spec.folder)
        build(spec.api, "create", self._values(self._intent(0)), key="")
        self._recorder = Recorder(folder, "attempts", "probe")
        self._reservations = Reservations(folder, "probe")

    async def run(self) -> None:
        """Probe until the end of the plan, or until stopped."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        note(_log, logging.INFO, "started", run=self._spec.run)
        try:
            async with asyncio.TaskGroup() as group:
                flushing = group.create_task(self._flush())
                await self._beat()
                flushing.cancel()
        finally:
            self._recorder.close()
            self._reservations.close()
        note(_log, logging.INFO, "finished")

    async def _beat(self) -> None:
        async with asyncio.TaskGroup() as probes:
            for k in range(self._count):
                intent = self._intent(k)
                if await self._stopped_before(intent.due_ns) or not self._allowance.take():
                    break
                if k % _BLOCK == 0:
                    count = min(_BLOCK, self._count - k)
                    await asyncio.to_thread(self._reservations.reserve, intent.n, count)
                probes.create_task(self._probe(intent))

    def _intent(self, k: int) -> Intent:
        n = self._spec.first_probe + k
        due_ns = self._first_ns + k * self._beat_ns
        return Intent(
            f"{self._spec.run}-{n}", n, "probe", "probe",
            self._spec.probe_amount_minor, self._spec.probe_currency, due_ns,
        )  # fmt: skip

    def _values(self, intent: Intent) -> dict[str, Any]:
        return {
            **values_of(self._spec, intent.n),
            "intent": intent.id,
            "amount_minor": intent.amount_minor,
            "currency": intent.currency,
        }

    def _now_ns(self) -> int:
        return time.monotonic_ns() - self._spec.zero_mono_ns

    async def _stopped_before(self, at_ns: int) -> bool:
        """Wait until this run time; whether the prober was stopped meanwhile."""
        # The loop's timers are rounded to milliseconds; a probe must not go before it is due.
        while not self._stopping.is_set() and (left_ns := at_ns - self._now_ns()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(left_ns / 1e9, 0.001)):
                    await self._stopping.wait()
        return self._stopping.is_set()

    async def _probe(self, intent: Intent) -> None:
        """Pay, and look at the payment while the service says that it is still at work."""
        end_ns = self._now_ns() + self._spec.probe_timeout.ns
        async with Connection(self._address) as connection:
            answer = await self._ask(connection, intent, end_ns)
            payment, follow, attempt = answer.payment, answer.follow, 1
            while answer.pending and payment and "read" in self._spec.api.operations:
                await asyncio.sleep(_LOOK_AGAIN_S)
                if self._now_ns() >= end_ns or not self._allowance.take():
                    break
                attempt += 1
                answer = await self._ask(connection, intent, end_ns, attempt, payment, follow)

    async def _ask(
        self,
        connection: Connection,
        intent: Intent,
        end_ns: int,
        attempt: int = 1,
        payment: str | None = None,
        follow: str | None = None,
    ) -> Answer:
        """One attempt, on record; a read where the payment is known."""
        api = self._spec.api
        kind, key = ("read", None) if payment else ("create", intent.key("pay"))
        values = {**self._values(intent), "payment": payment}
        request = build(api, kind, values, key=key, follow=follow)
        answer = unanswered("abandoned")
        sent_ns = self._now_ns()
        try:
            reply = await connection.send(request, max(end_ns - sent_ns, 0) / 1e9)
            if reply.status is None:
                answer = unanswered(reply.error or "unknown")
            else:
                answer = classify(api, kind, reply.status, reply.headers, reply.body)
        finally:  # also when cut off: what was sent must be on record
            self._recorder.append(Attempt(
                intent.id, intent.n, "pay", attempt, intent.source, intent.journey, kind, key,
                intent.amount_minor, intent.currency, sent_ns if payment else intent.due_ns,
                sent_ns, self._now_ns(), answer.outcome, answer.status, answer.error,
                answer.state, answer.payment or payment, answer.replayed, answer.region,
                answer.instance,
            ))  # fmt: skip
        return answer

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_EVERY_S)
            self._recorder.flush()


def main() -> int:
    """Run as a process; the exit status: 0, 1 when it cannot record, 2 for a bad specification."""
    path = arguments("payresil.workloads.prober", "Sends probes, as a specification says.")
    to_stderr()
    try:
        prober = Prober(receive(path))
    except (TrafficError, MappingError, ValueError, OSError) as error:
        note(_log, logging.ERROR, "unusable_specification", error=str(error))
        return USAGE
    status = 0
    try:
        uvloop.run(prober.run())
    except* OSError as group:
        note(_log, logging.ERROR, "cannot_record", error=str(group.exceptions[0]))
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())

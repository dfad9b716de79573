"""The load: Locust in a process of its own, driven by the plan as an open workload.

    python -m payresil.workloads.generator --spec FIFO

SIGTERM stops new arrivals; what is open is finished, up to the customers' patience. Exit
status: 0, or 1 when a journey failed or the tables could not be written, 2 for a specification
that cannot be used.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.pool import Group
from locust.env import Environment
from locust.exception import CatchResponseError

from payresil.core.mapping import MappingError, build
from payresil.core.plan import Arrival, Plan
from payresil.core.registry import UnknownMember, journeys
from payresil.core.tables import Flusher, Recorder
from payresil.core.traffic import TrafficError, TrafficSpec
from payresil.workloads.alarm import Alarm
from payresil.workloads.allowance import Allowance, AllowanceSpent
from payresil.workloads.attempts import Attempt
from payresil.workloads.client import PaymentClient, Terms
from payresil.workloads.customers import FEW, Crowd, Customer
from payresil.workloads.delivery import USAGE, arguments, receive
from payresil.workloads.logs import note, to_stderr
from payresil.workloads.pacing import Pacer
from payresil.workloads.purchase import intent_of, values_of
from payresil.workloads.reserving import Reservations
from payresil.workloads.transport import Transport

_log = logging.getLogger("payresil.workloads.generator")
_GRACE_S = 1.0  # beyond patience and time-out, before open intents are cut off
_TRIM_EVERY_S = 10.0


class GeventPace:
    """Time and concurrency as greenlets live them."""

    def __init__(self, zero_mono_ns: int) -> None:
        self._zero_mono_ns = zero_mono_ns
        self.begun = Group()  # what journeys do beside themselves

    def now_ns(self) -> int:
        """Run time in nanoseconds."""
        return time.monotonic_ns() - self._zero_mono_ns

    def sleep_until(self, at_ns: int) -> None:
        """See `Pace.sleep_until`."""
        while (left_ns := at_ns - self.now_ns()) > 0:
            gevent.sleep(left_ns / 1e9)

    def spawn(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """See `Pace.spawn`."""
        wait: Callable[[], Any] = self.begun.spawn(call).get
        return wait


class Load:
    """One run's load, from the first arrival to the last row."""

    def __init__(self, spec: TrafficSpec) -> None:
        """Everything that can be wrong with `spec` shows here.

        Raises:
            UnknownMember, MappingError, OSError, ssl.SSLError: as they say.
        """
        workload = spec.workload
        self._spec = spec
        allowance = Allowance(spec.limit, on_low=self.stop)
        patience_ns, timeout_s = workload.patience.ns, float(workload.timeout)
        self._terms = Terms(spec.api, patience_ns, timeout_s, allowance.spend)
        self._journeys = {name: journeys.get(name).call for name in workload.journeys}
        build(spec.api, "create", {**values_of(spec, 0), "intent": "", "amount_minor": 0,
                                   "currency": ""}, key="")  # fmt: skip
        Customer.shop, Customer.host = self, spec.base_url.rstrip("/")
        Customer.context_of_run = ssl.create_default_context(cafile=spec.ca_file)
        folder = Path(spec.folder)
        self._pace = GeventPace(spec.zero_mono_ns)
        self._alarm = Alarm()
        self._recorder = Recorder(folder, "attempts", "load")
        self._reservations = Reservations(folder, "load", aside=gevent.get_hub().threadpool.apply)
        self._plan = Plan(spec.seed, workload)
        self._pacer = Pacer(self._reserved(self._plan.arrivals()))
        self._environment = Environment(user_classes=[Customer], host=spec.base_url)
        self._runner = self._environment.create_local_runner()
        self._events: Any = self._environment.events  # Locust annotates them in part only
        self._crowd = Crowd(self._runner, spec.users)
        self._failed = 0
        self._intents = 0

    def run(self) -> int:
        """Live through the plan; the exit status."""
        flusher = Flusher(self._recorder)  # a greenlet here: Locust has patched threads
        self._events.user_error.add_listener(self._on_error)
        try:
            self._events.test_start.fire(environment=self._environment)
            self._runner.spawn_users({Customer.__name__: min(FEW, self._spec.users)})
            self._events.spawning_complete.fire(user_count=self._runner.user_count)
            trimming = gevent.spawn(self._trim)
            note(_log, logging.INFO, "started", run=self._spec.run, cpu_s=time.process_time())
            self._keep_time()
            self._drain()
            trimming.kill()
        finally:
            flusher.close()
            self._reservations.close()
        total = self._runner.stats.total
        note(
            _log, logging.INFO, "finished", intents=self._intents, attempts=total.num_requests,
            not_ok=total.num_failures, journeys_failed=self._failed, cpu_s=time.process_time(),
        )  # fmt: skip
        return 1 if self._failed else 0

    def stop(self) -> None:
        """No new arrivals."""
        note(_log, logging.INFO, "stopping", overdue=self._pacer.overdue)
        self._pacer.stop()
        self._alarm.ring()

    def wait_for_arrival(self) -> Arrival | None:
        """See `Shop.wait_for_arrival`."""
        turn: AsyncResult[Arrival | None] = AsyncResult()
        self._pacer.ask(turn.set)
        return turn.get()

    def serve(self, arrival: Arrival, transport: Transport) -> None:
        """See `Shop.serve`."""
        intent = intent_of(self._spec, arrival)
        random = self._plan.random(arrival.n)
        client = PaymentClient(
            intent, values_of(self._spec, arrival.card), random, self._terms, transport,
            self._pace, self._record,
        )  # fmt: skip
        self._intents += 1
        with suppress(AllowanceSpent):
            self._journeys[arrival.journey](client, random)

    def _record(self, row: Attempt) -> None:
        self._recorder.append(row)
        self._events.request.fire(
            request_type=row.kind,
            name=row.journey,
            response_time=(row.done_ns - row.due_ns) / 1e6,  # ms, from when it was due
            response_length=0,
            exception=None if row.outcome == "ok" else CatchResponseError(row.error or row.outcome),
            context={},
        )

    def _reserved(self, arrivals: Iterator[Arrival]) -> Iterator[Arrival]:
        """The same arrivals, each reserved before it is handed on."""
        while block := list(islice(arrivals, self._spec.block)):
            self._reservations.reserve(self._spec.first + block[0].n, len(block))
            yield from block

    def _keep_time(self) -> None:
        while (due_ns := self._pacer.next_due_ns) is not None:
            self._alarm.wait_until(self._spec.zero_mono_ns + due_ns)
            waiting = self._pacer.release(self._pace.now_ns())
            if waiting:
                self._crowd.grow(waiting)

    def _trim(self) -> None:
        while True:
            gevent.sleep(_TRIM_EVERY_S)
            self._pacer.trim(FEW)

    def _drain(self) -> None:
        """Customers go home as they finish; none of them outlasts patience and one time-out."""
        limit_s = float(self._spec.workload.patience) + self._terms.timeout_s + _GRACE_S
        end_s = time.monotonic() + limit_s
        while (left_s := end_s - time.monotonic()) > 0:
            if not (everyone := [*self._runner.user_greenlets, *self._pace.begun]):
                break
            gevent.joinall(everyone, timeout=left_s)
        if self._runner.user_count or self._pace.begun:
            note(_log, logging.WARNING, "cut_off", users=self._runner.user_count)
            self._pace.begun.kill()
        self._runner.quit()

    def _on_error(self, exception: BaseException, **_: Any) -> None:
        self._failed += 1


def main() -> int:
    """Run as a process; the exit status."""
    path = arguments("payresil.workloads.generator", "Sends customers, as a specification says.")
    to_stderr()
    _allow_many_sockets()
    gc.freeze()  # what is imported stays: no use in looking at it again, nor often at the rest
    gc.set_threshold(20_000, 20, 20)
    try:
        load = Load(receive(path))
    except (TrafficError, UnknownMember, MappingError, OSError) as error:
        note(_log, logging.ERROR, "unusable_specification", error=str(error))
        return USAGE
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, load.stop)
    try:
        return load.run()
    except OSError as error:
        note(_log, logging.ERROR, "cannot_record", error=str(error))
        return 1


def _allow_many_sockets() -> None:
    """Customers who wait for a stalled service hold one socket each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())

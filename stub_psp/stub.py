"""The parts put together: one stub, in one event loop."""

from __future__ import annotations

import asyncio
import gc
import time

from stub_psp.app import Application
from stub_psp.backstage import Backstage
from stub_psp.control import ControlPlane
from stub_psp.dialects.stripe import StripeDialect
from stub_psp.execution import Execution
from stub_psp.faults import Faults
from stub_psp.lifecycle import Lifecycle
from stub_psp.log import log
from stub_psp.metrics import Metrics
from stub_psp.options import Options
from stub_psp.server import Server, listen, serve
from stub_psp.store import Store
from stub_psp.webhooks.couriers import Couriers

#: How long what may be deferred waits for a transaction to ride on.
FLUSH_S = 0.02


async def run(options: Options, token: str | None) -> None:
    """Serve until asked to stop. Raises StoreError, ListenError."""
    stub = Stub(options, token)
    # What is loaded stays: the collector need not look at it again, nor as often as by default.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    try:
        await stub.serve()
    finally:
        await stub.close()


class Stub:
    def __init__(self, options: Options, token: str | None) -> None:
        self._options = options
        self._stopping = asyncio.Event()
        self._metrics = Metrics()
        self._store = Store(options.data)
        dialect = StripeDialect(options.reference_field)
        self._faults = Faults(
            self._store, options.seed, dialect.endpoints, options.reference_prefix
        )
        backstage = Backstage(self._store, dialect, self._executed)
        lifecycle = Lifecycle(self._store, dialect, self._faults, backstage.clock, self._executed)
        self._couriers = Couriers(self._store, dialect, self._metrics, options.webhooks)
        self._api = Application(
            lifecycle,
            dialect,
            self._store,
            self._metrics,
            self._stopping,
            options.epoch_header,
        )
        self._control = ControlPlane(
            store=self._store,
            faults=self._faults,
            backstage=backstage,
            metrics=self._metrics,
            token=token,
            stopping=self._stopping,
            on_lease=self._watch_leases,
        )
        self._lease_timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        database = self._store.database

        def flush_soon() -> None:
            loop.call_later(FLUSH_S, database.flush)

        database.on_deferred = flush_soon
        host = self._options.host
        api = listen(host, self._options.port)
        control = listen(self._options.control_host, self._options.control_port)
        ports = {"port": api.getsockname()[1], "control_port": control.getsockname()[1]}
        self._couriers.start()
        self._watch_leases()
        log("info", "serving", host=host, **ports)
        servers = [Server(self._api, api), Server(self._control, control)]
        await serve(servers, self._options.ready_file, ports, self._stopping)

    async def close(self) -> None:
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        await self._couriers.stop()
        self._store.close()
        log("info", "stopped")

    def _executed(self, execution: Execution) -> None:
        self._metrics.events.update(execution.announced)
        self._couriers.add(execution.deliveries)

    def _watch_leases(self) -> None:
        """Look again when the first of the leases, as they are now, would run out."""
        if self._lease_timer is not None:
            self._lease_timer.cancel()
            self._lease_timer = None
        deadline_ns = self._faults.leases.next_deadline_ns
        if deadline_ns is None:
            return
        wait_s = max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)
        self._lease_timer = asyncio.get_running_loop().call_later(wait_s, self._end_leases)

    def _end_leases(self) -> None:
        for owner, removed in self._faults.expire(time.monotonic_ns()).items():
            log("warning", "lease_ran_out", owner=owner, rules_removed=removed)
        self._watch_leases()  # for other owners, or when the timer was early

"""The processes that send customers and probes: started, set off, watched, drained."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from payresil.core.protocols import Assembly, Endpoints, EnvironmentBroke, Launcher, Process
from payresil.core.run import Run
from payresil.core.tables import read_folder
from payresil.core.traffic import TrafficSpec
from payresil.core.values import Duration
from payresil.engine.run_plan import RunPlan
from payresil.workloads.audit import TRIES, audit
from payresil.workloads.undoing import Taking, undo

_READY_S = 30.0
_END_S = 15.0  # beyond the patience of the last customer; a busy machine takes its time
_SENDERS = {"locust": "payresil.workloads.generator", "prober": "payresil.workloads.prober"}


class Traffic:
    """Locust and the prober. Both import what they need and then wait for their orders."""

    def __init__(self, assembly: Assembly, folder: Path, launcher: Launcher) -> None:
        self._assembly = assembly
        self._folder = folder
        self._pipes = {name: assembly.work / f"{name}.orders" for name in _SENDERS}
        self._processes: dict[str, Process] = {}
        self._patience_s = 0.0
        for name, module in _SENDERS.items():
            os.mkfifo(self._pipes[name], 0o600)
            self._processes[name] = launcher.spawn(
                name,
                [sys.executable, "-m", module, "--spec", str(self._pipes[name])],
                env=dict(os.environ),
                log=assembly.logs / f"{name}.log",
            )

    @classmethod
    @contextmanager
    def started(cls, assembly: Assembly, folder: Path, launcher: Launcher) -> Iterator[Traffic]:
        """Start both; at the end whichever still runs is ended."""
        traffic = cls(assembly, folder, launcher)
        try:
            yield traffic
        finally:
            traffic.end()

    @property
    def attempts(self) -> Path:
        """The growing table of what customers did."""
        return self._folder / "attempts-load.arrows"

    def go(self, plan: RunPlan, endpoints: Endpoints, zero_ns: int) -> None:
        """Give the orders; the schedule's zero is `zero_ns` on the monotonic clock.

        Raises:
            EnvironmentBroke: when a sender ended before it took them.
        """
        spec = self._spec(plan, endpoints, zero_ns)
        self._patience_s = float(plan.scenario.workload.patience)
        for name in _SENDERS:
            self._give(name, spec.encode())

    def _spec(self, plan: RunPlan, endpoints: Endpoints, zero_ns: int) -> TrafficSpec:
        secrets = self._assembly.secrets
        budget = None if plan.attached is None else plan.attached.file.budget
        return TrafficSpec(
            run=self._assembly.run,
            zero_mono_ns=zero_ns,
            seed=plan.scenario.seed,
            workload=plan.scenario.workload,
            api=plan.system.api,
            base_url=endpoints.customers,
            folder=str(self._folder),
            api_token=secrets.api_token,
            card_numbers=secrets.card_numbers,
            card_cvc=secrets.card_cvc,
            ca_file=None if endpoints.ca_file is None else str(endpoints.ca_file),
            probe_timeout=_probe_timeout(plan),
            imports=tuple(str(path) for path in plan.imports),
            limit=None if budget is None else budget.of_customers,
            probe_limit=None if budget is None else budget.of_probes,
        )

    def _give(self, name: str, orders: bytes) -> None:
        process, deadline = self._processes[name], time.monotonic() + _READY_S
        while True:
            try:
                pipe = os.open(self._pipes[name], os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError as error:
                if error.errno != errno.ENXIO:  # ENXIO: nobody reads it yet
                    raise
            if process.wait(0.01) is not None or time.monotonic() > deadline:
                raise EnvironmentBroke(f"{name} did not start: {self._last_words(name)}")
        os.set_blocking(pipe, True)
        with open(pipe, "wb") as stream:
            stream.write(orders)

    def _last_words(self, name: str) -> str:
        log = self._assembly.logs / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-5:]) or "it said nothing"

    def check(self) -> None:
        """Raise when a sender ended before its time.

        Raises:
            EnvironmentBroke: with its last log lines.
        """
        for name, process in self._processes.items():
            if process.status not in (None, 0):
                raise EnvironmentBroke(
                    f"{name} ended with {process.status}: {self._last_words(name)}"
                )

    def drain(self, *, early: bool, tick: Callable[[], None]) -> None:
        """Wait until every customer has an answer or has given up; `early` stops arrivals now.

        Raises:
            EnvironmentBroke: when a sender does not come to an end.
        """
        if early:
            for process in self._processes.values():
                process.signal(signal.SIGTERM)
        deadline = time.monotonic() + self._patience_s + _END_S
        for name, process in self._processes.items():
            while process.wait(0.1) is None:
                tick()
                if time.monotonic() > deadline:
                    raise EnvironmentBroke(
                        f"{name} still runs {_END_S:g} s after its last customer lost patience"
                    )
        self.check()

    def end(self) -> None:
        """End whichever still runs; what they recorded is kept."""
        for process in self._processes.values():
            if process.status is None:
                process.signal(signal.SIGTERM)
        for process in self._processes.values():
            if process.wait(2.0) is None:
                process.signal(signal.SIGKILL)
                process.wait(2.0)

    def audit(self, plan: RunPlan, endpoints: Endpoints, zero_ns: int) -> int:
        """Ask the service, past the links, what became of every intent that ended unknown."""
        run = Run(read_folder(self._folder), {})
        unknown = [
            str(row[0])
            for row in run.rows("select intent from intents where outcome = 'unknown' order by n")
        ]
        if plan.attached is not None:
            unknown = unknown[: plan.attached.file.budget.of_audit // TRIES]
        spec = replace(self._spec(plan, endpoints, zero_ns), base_url=endpoints.admin)
        audit(spec, unknown)
        return len(unknown)

    def sent(self) -> int:
        """How many requests customers have sent."""
        sent = Run(read_folder(self._folder), {}).one(
            "select count(*) from attempts where source = 'load'"
        )
        return int(sent)

    def undo(self, plan: RunPlan, endpoints: Endpoints, takings: list[Taking]) -> Mapping[str, str]:
        """Take payments back; payment → what the service answered."""
        return undo(self._spec(plan, endpoints, 0), takings)


def _probe_timeout(plan: RunPlan) -> Duration:
    """A probe is late when a customer's objective would be missed; without one, one second."""
    bounds = [
        value
        for step in plan.scenario.checks
        if step.checker == "latency"
        for value in step.parameters.values()
        if isinstance(value, Duration)
    ]
    return max(bounds, default=Duration(1.0))

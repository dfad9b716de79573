"""Remedies beside the timeline of faults: each in a thread of its own, each step written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from traceback import format_exc
from typing import Any

from payresil.core.protocols import (
    Environment,
    EnvironmentBroke,
    RemedyFailed,
    RemedyStopped,
    Unreachable,
)
from payresil.core.registry import remedies
from payresil.core.scenario import RemedyStep
from payresil.core.schema import plain
from payresil.engine.journal import Journal

#: What a remedy may end with that is an answer of the system, and no defect of the harness.
_ANSWERS = (RemedyFailed, RemedyStopped, Unreachable)


class RemedySteps:
    """`core.protocols.RemedyLog` of one remedy."""

    def __init__(self, step: RemedyStep, journal: Journal, ending: threading.Event) -> None:
        """`ending` is set when the run comes to its end."""
        self._step = step
        self._journal = journal
        self._ending = ending
        self.at = ""

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """One step, timed from here to the end of the context; what is put in the dict is kept."""
        self.at = name
        found: dict[str, Any] = {}
        self._write("begin", {"step": name})
        try:
            yield found
        except BaseException as error:
            self._write("failed", {**found, "step": name, "error": str(error)})
            raise
        self._write("end", {**found, "step": name})

    def decide(self) -> None:
        """The step ``decide``: at once, or when a person has confirmed."""
        with self.step("decide") as found:
            if self._step.confirm is None:
                return
            found["confirm"] = str(self._step.confirm)
            if self._ending.wait(float(self._step.confirm)):
                raise RemedyStopped("the run ended before a person had confirmed")

    def until(self, holds: Callable[[], bool], every_s: float = 0.1) -> None:
        """Wait until something holds.

        Raises:
            RemedyStopped: when the run ends before that.
        """
        while not holds():
            if self._ending.wait(every_s):
                raise RemedyStopped(f"the run ended while it was at {self.at or 'its beginning'}")

    def _write(self, what: str, detail: dict[str, Any]) -> None:
        self._journal.write("remedy_step", self._step.id, what, **detail)


class Remedies:
    """Starts remedies when their time comes, and waits for them at the end."""

    def __init__(
        self, environment: Environment, steps: Sequence[RemedyStep], journal: Journal
    ) -> None:
        self._environment = environment
        self._steps = {step.id: step for step in steps}
        self._journal = journal
        self._ending = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._broke: list[str] = []

    @property
    def steps(self) -> tuple[RemedyStep, ...]:
        """What there is to start."""
        return tuple(self._steps.values())

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the remedies at work or on watch, oldest first."""
        return tuple(name for name, thread in self._threads.items() if thread.is_alive())

    def start(self, step_id: str) -> None:
        """Start one."""
        step = self._steps[step_id]
        thread = threading.Thread(target=self._run, args=(step,), name=step_id, daemon=True)
        self._threads[step_id] = thread
        thread.start()

    def check(self) -> None:
        """Raise when one met a defect of the harness or of a part that it controls.

        Raises:
            EnvironmentBroke: saying which, and at what.
        """
        if self._broke:
            raise EnvironmentBroke("; ".join(self._broke))

    def finish(self, patience_s: float, tick: Callable[[], None]) -> None:
        """Wait for all of them; those that still are not done after `patience_s` are stopped.

        Raises:
            EnvironmentBroke: as `check` does.
        """
        deadline = time.monotonic() + patience_s
        while self.active and time.monotonic() < deadline:
            tick()
            self._threads[self.active[0]].join(0.1) if self.active else None
        self.stop()
        self.check()

    def stop(self) -> None:
        """Have all of them end now, and wait until they have."""
        self._ending.set()
        for thread in self._threads.values():
            thread.join()

    def _run(self, step: RemedyStep) -> None:
        steps = RemedySteps(step, self._journal, self._ending)
        try:
            self._write(step, "begin", **plain(step.parameters))
            remedies.get(step.remedy).call(self._environment, steps, **step.parameters)
        except _ANSWERS as error:
            self._write(step, "failed", step=steps.at, error=str(error))
        except EnvironmentBroke as error:
            self._broke.append(f"remedy {step.id} broke at {steps.at or 'its beginning'}: {error}")
            self._write(step, "failed", step=steps.at, error=str(error))
        except Exception as error:  # a defect of ours, or of a plug-in: the run must say so
            words = f"{type(error).__name__}: {error}"
            self._broke.append(f"remedy {step.id} broke at {steps.at or 'its beginning'}: {words}")
            self._write(step, "failed", step=steps.at, error=words, traceback=format_exc())
        else:
            self._write(step, "end")

    def _write(self, one: RemedyStep, what: str, /, **detail: Any) -> None:
        self._journal.write("remedy", one.id, what, **detail)

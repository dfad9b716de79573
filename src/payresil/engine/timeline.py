"""The faults of a scenario, injected and healed, and its remedies started, when it is time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from payresil.core.protocols import Environment, EnvironmentBroke
from payresil.core.registry import faults
from payresil.core.scenario import FaultStep
from payresil.engine.journal import Journal
from payresil.engine.phases import Phases
from payresil.engine.remedying import Remedies

#: Waits until a run time in seconds; returns False when the run is to stop early.
WaitUntil = Callable[[float], bool]


class Timeline:
    """Injects and heals; `active` holds the ids of the faults in force."""

    def __init__(
        self,
        environment: Environment,
        steps: Sequence[FaultStep],
        journal: Journal,
        phases: Phases,
        remedies: Remedies | None = None,
    ) -> None:
        self._remedies = remedies
        self._environment = environment
        self._steps = {step.id: step for step in steps}
        self._journal = journal
        self._phases = phases
        self._contexts: dict[str, AbstractContextManager[Any]] = {}

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the faults in force, oldest first."""
        return tuple(self._contexts)

    def play(self, wait_until: WaitUntil) -> bool:
        """Go through the whole timeline; False when it was cut short. Everything is healed after.

        Raises:
            EnvironmentBroke: when a fault cannot be injected or healed.
        """
        with ExitStack() as stack:
            stack.callback(self.heal_all)
            for at_s, action, step_id in self._moments():
                if not wait_until(at_s):
                    return False
                action(step_id)
        return True

    def _moments(self) -> list[tuple[float, Callable[[str], None], str]]:
        moments: list[tuple[float, Callable[[str], None], str]] = []
        for step in self._steps.values():
            moments.append((float(step.at), self.inject, step.id))
            moments.append((float(step.at) + float(step.duration), self.heal, step.id))
        if self._remedies is not None:
            start = self._remedies.start
            moments += [(float(step.at), start, step.id) for step in self._remedies.steps]
        # At the same moment heal comes before inject, so that back-to-back faults do not overlap.
        return sorted(moments, key=lambda moment: (moment[0], moment[1] == self.inject))

    def inject(self, step_id: str) -> None:
        """Put a fault in force; recorded when asked for and when acknowledged."""
        step = self._steps[step_id]
        context = _context(self._environment, step)
        self._phases.enter("faulted")
        self._journal.write("fault", step_id, "inject", **dict(step.parameters))
        try:
            context.__enter__()
        except Exception as error:
            self._journal.write("fault", step_id, "failed", error=str(error))
            raise EnvironmentBroke(f"fault {step_id} could not be injected: {error}") from error
        self._contexts[step_id] = context
        self._journal.write("fault", step_id, "injected")

    def heal(self, step_id: str) -> None:
        """Take a fault away; one that is not in force is left alone."""
        context = self._contexts.pop(step_id, None)
        if context is None:
            return
        self._journal.write("fault", step_id, "heal")
        try:
            context.__exit__(None, None, None)
        except Exception as error:
            self._journal.write("fault", step_id, "failed", error=str(error))
            raise EnvironmentBroke(f"fault {step_id} could not be healed: {error}") from error
        self._journal.write("fault", step_id, "healed")
        if not self._contexts:
            self._phases.enter("recovering")

    def heal_all(self) -> None:
        """Heal what is in force, newest first, and have the environment confirm it."""
        with ExitStack() as stack:
            stack.callback(self._environment.heal)
            for step_id in self._contexts:
                stack.callback(self.heal, step_id)


def _context(environment: Environment, step: FaultStep) -> AbstractContextManager[Any]:
    call = faults.get(step.fault).call
    extra: Mapping[str, Any] = (
        {"fault_id": step.id} if "fault_id" in inspect.signature(call).parameters else {}
    )
    context: AbstractContextManager[Any] = call(environment, **step.parameters, **extra)
    return context

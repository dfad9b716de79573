"""RUN, the only step that touches the world: a scenario in, a sealed run folder out."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import format_exc
from typing import Any

from payresil.backends.harness import NOTE, Harness
from payresil.backends.leftovers import SCRATCH
from payresil.core.protocols import Assembly, Environment, EnvironmentBroke, Launcher, Secrets
from payresil.core.registry import backends, faults, remedies
from payresil.core.tables import seal
from payresil.engine.closing import close_books
from payresil.engine.journal import Journal
from payresil.engine.keeping import Keeper
from payresil.engine.phases import Phases
from payresil.engine.progress import Progress
from payresil.engine.prometheus.finding import asks_prometheus
from payresil.engine.prometheus.watching import watched
from payresil.engine.remedying import Remedies
from payresil.engine.run_file import write_run_file
from payresil.engine.run_plan import RunPlan
from payresil.engine.sampling import Sampler
from payresil.engine.sown import sow
from payresil.engine.stopping import Stop
from payresil.engine.timeline import Timeline
from payresil.engine.traffic import Traffic

#: From "the system is up" to the first arrival: time for the generators to read their orders.
_LEAD_S = 0.15

#: How long remedies may go on when the last customer has gone.
_REMEDY_S = 20.0


@dataclass(frozen=True, slots=True)
class _Recording:
    """What every step of a run writes to."""

    plan: RunPlan
    assembly: Assembly
    journal: Journal
    phases: Phases
    progress: Progress
    stop: Stop


def execute(plan: RunPlan, launcher: Launcher, progress: Progress, stop: Stop) -> None:
    """Run the plan. Whatever happens, the folder is left sealed and says what happened.

    What broke is in the events table (kind ``harness``), not raised.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    (plan.folder / "logs").mkdir(exist_ok=True)
    journal = Journal(plan.folder)
    phases = Phases(journal, progress.phase)
    keeper = Keeper(plan.folder, lambda: journal.zero_ns or 0)
    with _scratch() as work:
        assembly = Assembly(
            run=secrets.token_hex(4),
            system=plan.system,
            topology=plan.topology,
            secrets=_secrets(plan),
            seed=plan.scenario.seed,
            flaw=plan.scenario.system.flaw,
            work=work,
            logs=plan.folder / "logs",
            on_event=journal.write,
            attached=plan.attached,
            asks_prometheus=asks_prometheus(plan.scenario, plan.prometheus, plan.attached),
            keep=keeper.keep,
        )
        recording = _Recording(plan, assembly, journal, phases, progress, stop)
        try:
            _run(recording, launcher)
        except EnvironmentBroke as error:
            journal.write("harness", "environment", "broken", error=str(error))
        except KeyboardInterrupt:
            stop.ask()
        except Exception as error:
            # A defect of ours, or of a plug-in: what was recorded is kept, and says so.
            words = f"{type(error).__name__}: {error}"
            journal.write("harness", "harness", "broken", error=words, traceback=format_exc())
        finally:
            keeper.close()
            _finish(recording)


def _secrets(plan: RunPlan) -> Secrets:
    """Of this run only, but for those of a system that runs already."""
    given = plan.attached.secrets if plan.attached is not None else {}
    names = ("api_token", "admin_token", "control_token")
    ours: dict[str, Any] = {name: given[name] for name in names if name in given}
    return replace(sow(), **ours)


def _finish(recording: _Recording) -> None:
    if recording.stop():
        recording.journal.write("harness", "harness", "interrupted")
    recording.phases.end()
    recording.journal.close()
    seal(recording.plan.folder)
    write_run_file(recording.plan, recording.assembly, recording.journal, sealed=True)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder that other users may pass through (the database runs as one) but not list."""
    work = Path(tempfile.mkdtemp(prefix=SCRATCH))
    work.chmod(0o711)
    (work / NOTE).write_text(str(Harness.this()), encoding="utf-8")
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(recording: _Recording, launcher: Launcher) -> None:
    plan, phases = recording.plan, recording.phases
    with ExitStack() as stack:
        launcher.sweep(recording.assembly.work)  # before anything is in it: we may be killed
        # Generators take seconds of CPU to import: they start first and wait for orders.
        traffic = stack.enter_context(Traffic.started(recording.assembly, plan.folder, launcher))
        phases.enter("up")
        start = backends.get(plan.backend).call
        environment: Environment = stack.enter_context(start(recording.assembly, launcher))
        stack.callback(phases.enter, "down")
        _check_capabilities(plan, environment)
        stack.enter_context(
            watched(plan, recording.assembly, environment, launcher, recording.journal)
        )
        zero_ns = time.monotonic_ns() + int((_LEAD_S + float(plan.scenario.workload.warm_up)) * 1e9)
        phases.enter("warm-up")
        recording.journal.set_zero(zero_ns)
        write_run_file(plan, recording.assembly, recording.journal, environment)
        endpoints = environment.endpoints
        sampler = Sampler(plan.folder, endpoints.metrics, zero_ns, readings=endpoints.readings)
        stack.callback(sampler.close)
        broke = _customers_or_what_broke(recording, environment, traffic, zero_ns)
        close_books(
            plan,
            recording.assembly,
            environment,
            traffic,
            recording.journal,
            phases,
            recording.stop,
            hurried=broke or recording.stop(),
        )


def _customers_or_what_broke(
    recording: _Recording, environment: Environment, traffic: Traffic, zero_ns: int
) -> bool:
    """Whether something broke. The books are read all the same: money may have moved wrongly."""
    try:
        _customers(recording, environment, traffic, zero_ns)
    except EnvironmentBroke as error:
        recording.journal.write("harness", "environment", "broken", error=str(error))
        traffic.end()
        return True
    return False


def _check_capabilities(plan: RunPlan, environment: Environment) -> None:
    """Say before the first customer comes what this environment cannot do."""
    needs = [
        *((f"fault {step.id}", faults.get(step.fault)) for step in plan.scenario.faults),
        *((f"remedy {step.id}", remedies.get(step.remedy)) for step in plan.scenario.remedies),
    ]
    for name, member in needs:
        lacking = set(member.traits["needs"]) - environment.capabilities
        if lacking:
            raise EnvironmentBroke(
                f"{name} needs {', '.join(sorted(lacking))}, which the backend "
                f"{plan.backend} does not offer"
            )


def _customers(
    recording: _Recording, environment: Environment, traffic: Traffic, zero_ns: int
) -> None:
    """Warm-up, steady, faults, recovery; ends when no new customer arrives and all are answered."""
    scenario, phases = recording.plan.scenario, recording.phases
    remedying = Remedies(environment, scenario.remedies, recording.journal)
    timeline = Timeline(environment, scenario.faults, recording.journal, phases, remedying)
    end_s = float(scenario.workload.duration)

    def tick() -> None:
        environment.check()
        traffic.check()
        remedying.check()
        left_s = end_s - (time.monotonic_ns() - zero_ns) / 1e9
        recording.progress.tick(timeline.active, left_s)

    def wait_until(at_s: float) -> bool:
        return recording.stop.wait_until(zero_ns + int(at_s * 1e9), tick)

    with ExitStack() as stack:
        stack.callback(remedying.stop)
        traffic.go(recording.plan, environment.endpoints, zero_ns)
        recording.progress.watch(traffic.attempts)
        if wait_until(0.0):
            phases.enter("steady")
            if timeline.play(wait_until):
                wait_until(end_s)
        if recording.stop():
            words = "interrupted: heals and judges what there is; once more ends now"
            recording.progress.note(words)
        phases.enter("drain")
        traffic.drain(early=recording.stop(), tick=tick)
        remedying.finish(0.0 if recording.stop() else _REMEDY_S, tick)

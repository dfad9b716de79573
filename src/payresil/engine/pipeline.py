"""scenario → run → verdict → reports: the whole path, each step a function of the one before."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable
from pathlib import Path

from payresil.backends.launcher import Supervisor
from payresil.core.registry import UnknownMember, backends, imported_files, renderers
from payresil.core.results import Verdict
from payresil.core.run import Run, RunError
from payresil.core.scenario import Scenario
from payresil.engine.attached_rules import notices
from payresil.engine.compose_file import project_notices
from payresil.engine.execute import execute
from payresil.engine.judge import judge
from payresil.engine.lints import lint
from payresil.engine.progress import Progress
from payresil.engine.prometheus.finding import missing_prometheus, refuse_address
from payresil.engine.refusal import Refusal
from payresil.engine.resolving import resolve
from payresil.engine.run_plan import RunPlan
from payresil.engine.scenario_file import InvalidScenario, dump_scenario, load_scenario
from payresil.engine.scenario_folder import SCENARIO_FILE
from payresil.engine.stopping import Stop, on_signals
from payresil.engine.system_file import missing_steps


def prepare(
    path: Path,
    *,
    flaw: str | None = None,
    seed: int | None = None,
    backend: str = "process",
    at: Path | None = None,
    prometheus: str | None = None,
    out: Path = Path("reports"),
    explaining: bool = False,
) -> RunPlan:
    """Load a scenario and resolve everything it names.

    `at` is the attach file of a system that runs already, `prometheus` the address of a Prometheus
    that watches it. Faults that cannot be brought about there
    are refused, or only warned of where the plan is for `explaining`.

    Raises:
        Refusal: with every problem of the file, each with its place.
    """
    if prometheus is not None:
        refuse_address(prometheus)
    try:
        brought = backends.get(backend).traits["brings_prometheus"]
        scenario = load_scenario(path, flaw=flaw, seed=seed)
        found = resolve(scenario, backend, at)
        system, topology, attached = found.system, found.topology, found.attached
        if found.cannot and not explaining:
            raise InvalidScenario(found.cannot)
        warnings = [
            *lint(scenario, system, topology),
            *missing_steps(system),
            *(() if attached else project_notices(system, topology)),
            *missing_prometheus(scenario, prometheus, attached, brought=brought),
        ]
        if attached:
            warnings += [
                *notices(scenario, attached.file),
                *(f"cannot: {each}" for each in found.cannot),
            ]
    except (InvalidScenario, UnknownMember) as error:
        raise Refusal(str(error)) from error
    return RunPlan(
        scenario=scenario,
        system=system,
        topology=topology,
        backend=backend,
        folder=_new_folder(out / scenario.name),
        source=_from_here(path),
        warnings=tuple(warnings),
        imports=tuple(map(_from_here, imported_files())),
        at=None if at is None else _from_here(at),
        attached=attached,
        prometheus=prometheus,
    )


def renewed(plan: RunPlan) -> RunPlan:
    """The same plan with a folder named after the present time."""
    return dataclasses.replace(plan, folder=_new_folder(plan.folder.parent))


def run_plan(plan: RunPlan, stop: Stop | None = None) -> Verdict:
    """Execute, judge, render. The folder of the plan holds everything afterwards.

    Raises:
        Refusal: when the run folder cannot be made.
        EnvironmentBroke: when not even the supervisor can be started.
    """
    _write_scenario(plan)
    stop = stop or Stop()
    with (
        on_signals(stop),
        Progress() as progress,
        Supervisor.started() as launcher,
    ):
        execute(plan, launcher, progress, stop)
    return judge_folder(plan.folder)


def judge_folder(folder: Path) -> Verdict:
    """Judge a run from its folder alone and write every report into it.

    Raises:
        Refusal: when the folder is no run or is damaged.
    """
    run, scenario = open_run(folder)
    verdict = judge(run, scenario)
    try:
        write_reports(run, verdict)
    except OSError as error:  # a verdict stands, written down or not
        warning = f"the reports could not be written: {error}"
        verdict = dataclasses.replace(verdict, warnings=(*verdict.warnings, warning))
    return verdict


def open_run(folder: Path) -> tuple[Run, Scenario]:
    """A recorded run and the scenario it ran.

    Raises:
        Refusal: when the folder is no run or is damaged.
    """
    try:
        return Run.open(folder, direct=True), load_scenario(folder / SCENARIO_FILE, recorded=True)
    except RunError as error:
        raise Refusal(str(error)) from error
    except InvalidScenario as error:
        raise Refusal(
            f"{error}\n(a run with faults or checks of your own needs the same --import again)"
        ) from error


def write_reports(run: Run, verdict: Verdict, names: Iterable[str] | None = None) -> None:
    """Render into the run folder every report that has a file."""
    if run.folder is None:
        raise ValueError("a run without a folder has nowhere to put its reports")
    for member in renderers.members():
        file = member.traits["file"]
        if file is not None and (names is None or member.name in names):
            _write(run.folder / file, member.call(run, verdict))


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)


def _write_scenario(plan: RunPlan) -> None:
    try:
        plan.folder.mkdir(parents=True)
        _write(plan.folder / SCENARIO_FILE, dump_scenario(plan.scenario))
        _point_latest(plan.folder)
    except OSError as error:
        raise Refusal(f"cannot write the run folder: {error}; choose another with --out") from error


def _from_here(path: Path) -> Path:
    """As it is called from the working directory: reports are read on other machines, too."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _point_latest(folder: Path) -> None:
    draft = folder.parent / ".latest"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    os.replace(draft, folder.parent / "latest")


def _new_folder(parent: Path) -> Path:
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder, n = parent / name, 1
    while os.path.lexists(folder):  # also where we may not look: making it says so
        n += 1
        folder = parent / f"{name}-{n}"
    return folder

"""Several scenarios one after another: whatever becomes of one, the others have their turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from payresil.core.protocols import EnvironmentBroke
from payresil.core.registry import renderers
from payresil.core.results import Exit, Outcome, Verdict
from payresil.core.run import Run
from payresil.engine.output import told_defect
from payresil.engine.pipeline import prepare, renewed, run_plan
from payresil.engine.refusal import Refusal
from payresil.engine.run_plan import RunPlan
from payresil.engine.scenario_folder import scenarios_in
from payresil.render.combined import combined_junit, combined_md


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one scenario; without a folder it left no record that could be judged."""

    plan: RunPlan
    verdict: Verdict
    folder: Path | None

    def rendered(self, name: str) -> str:
        """The report of this name: as it lies in the run folder, else from the verdict alone."""
        member = renderers.get(name)
        if self.folder is not None:
            try:
                file = self.folder / str(member.traits["file"])
                return file.read_text(encoding="utf-8")
            except OSError:  # it could not be written; the verdict warns of that
                pass
        text: str = member.call(Run.from_rows(_meta(self.plan)), self.verdict)
        return text


@dataclass(frozen=True, slots=True)
class Series:
    """What became of all; after an interruption some had no turn."""

    ended: tuple[Ended, ...]
    not_run: tuple[RunPlan, ...]

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts, in the order of the runs."""
        return [each.verdict for each in self.ended]

    @property
    def names_not_run(self) -> list[str]:
        """The scenarios that had no turn."""
        return [plan.scenario.name for plan in self.not_run]

    def junit(self) -> str:
        """All in one JUnit file; what was not run is an error in it."""
        missing = [Ended(plan, _without_record(plan, Exit.INTERRUPTED, _NO_TURN), None)
                   for plan in self.not_run]  # fmt: skip
        return combined_junit([each.rendered("junit") for each in (*self.ended, *missing)])

    def comment(self) -> str:
        """All in one comment on a pull request."""
        comments = [each.rendered("md") for each in self.ended]
        return combined_md(self.verdicts, comments, self.names_not_run)


_NO_TURN = "not run: the series was interrupted before its turn"

_ORDER = (Exit.FAIL, Exit.BROKEN, Exit.INTERRUPTED, Exit.INCONCLUSIVE, Exit.PASS)


def worst_status(statuses: Sequence[int]) -> int:
    """One exit status for several runs: fail before broken before interrupted before the rest."""
    return min(statuses, key=_ORDER.index)


def run_series(plans: Sequence[RunPlan], tell: Callable[[Ended], None]) -> Series:
    """Run every plan and `tell` what became of it; an interruption ends the series.

    Raises:
        Refusal: when not even the first run folder can be made.
    """
    ended: list[Ended] = []
    for plan in plans:
        for warning in plan.warnings:
            click.echo(f"warning: {warning}", err=True)
        ended.append(_ended(renewed(plan), first=not ended))
        tell(ended[-1])
        if ended[-1].verdict.interrupted:
            break
    return Series(tuple(ended), tuple(plans[len(ended) :]))


def scenario_files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files that are meant, each once, and warnings about what is left out.

    A folder means its own `*.yaml` files that are scenarios, without its subfolders.

    Raises:
        Refusal: when a folder holds no scenario.
    """
    files: dict[Path, Path] = {}  # where it really is → as it was first named
    warnings: list[str] = []
    for path in paths:
        found, others = scenarios_in(path) if path.is_dir() else ([path], [])
        if not found:
            raise Refusal(_no_scenario(path))
        warnings += [f"{file}: left out, it is no scenario" for file in others]
        again = [file for file in found if file.resolve() in files]
        warnings += [f"{file}: named more than once, runs once" for file in again]
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values()), warnings


def prepare_all(
    files: Sequence[Path],
    *,
    flaw: str | None,
    seed: int | None,
    backend: str,
    out: Path,
    at: Path | None = None,
    prometheus: str | None = None,
) -> list[RunPlan]:
    """Read every file and resolve what it names.

    Raises:
        Refusal: with the problems of all files; or when two scenarios have one name, and would
            share a folder of runs and a line of every report.
    """
    plans: list[RunPlan] = []
    refused: list[str] = []
    for file in files:
        try:
            plans.append(
                prepare(
                    file,
                    flaw=flaw,
                    seed=seed,
                    backend=backend,
                    at=at,
                    prometheus=prometheus,
                    out=out,
                )
            )
        except Refusal as refusal:
            refused.append(str(refusal))
    first: dict[str, Path] = {}
    for plan in plans:
        other = first.setdefault(plan.scenario.name, plan.source)
        if other != plan.source:
            refused.append(
                f"{other} and {plan.source} are both called {plan.scenario.name!r}: "
                "rename one, or run them one at a time"
            )
    if refused:
        raise Refusal("\n".join(dict.fromkeys(refused)))
    return plans


def _no_scenario(folder: Path) -> str:
    deeper = [each for each in sorted(folder.glob("*/")) if scenarios_in(each)[0]]
    hint = f"; name its subfolders: {', '.join(map(str, deeper))}" if deeper else ""
    return f"{folder}: there is no scenario (*.yaml) in this folder{hint}"


def _ended(plan: RunPlan, *, first: bool) -> Ended:
    try:
        return Ended(plan, run_plan(plan), plan.folder)
    except KeyboardInterrupt:
        return Ended(plan, _without_record(plan, Exit.INTERRUPTED, None), None)
    except Refusal as error:
        if first:
            raise
        reason = str(error)
    except EnvironmentBroke as error:
        reason = str(error)
    except (Exception, SystemExit) as error:
        # A defect of ours or of a plug-in must not cost the others their turn.
        reason = told_defect(error)
    return Ended(plan, _without_record(plan, Exit.BROKEN, reason), None)


def _without_record(plan: RunPlan, status: int, reason: str | None) -> Verdict:
    """The verdict on a scenario that left nothing to judge."""
    return Verdict(
        run="none",
        scenario=plan.scenario.name,
        claim=plan.scenario.claim,
        outcome=Outcome.INCONCLUSIVE,
        exit_status=status,
        checks=(),
        faults=(),
        broken=reason,
        interrupted=status == Exit.INTERRUPTED,
    )


def _meta(plan: RunPlan) -> dict[str, Any]:
    """What `run.json` would have said of how to run it again."""
    return {
        "scenario_file": str(plan.source),
        "seed": plan.scenario.seed,
        "flaw": plan.scenario.system.flaw,
        "backend": plan.backend,
        "at": None if plan.at is None else str(plan.at),
        "prometheus": plan.prometheus,
        "imports": [str(path) for path in plan.imports],
    }

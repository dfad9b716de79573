"""What each command of the command line does; every one returns the exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import duckdb

from payresil.core.registry import (
    OpenSet,
    UnknownMember,
    checkers,
    faults,
    journeys,
    remedies,
    renderers,
)
from payresil.core.results import Exit, Verdict
from payresil.core.run import Run, RunError
from payresil.core.verdict_file import VERDICT_FILE, VerdictError, from_json
from payresil.engine.explain import explain
from payresil.engine.output import say
from payresil.engine.pipeline import judge_folder, open_run, prepare, write_reports
from payresil.engine.refusal import Refusal
from payresil.engine.scenario_file import InvalidScenario
from payresil.engine.series import Ended, prepare_all, run_series, scenario_files, worst_status
from payresil.engine.system_file import list_flaws, load_system
from payresil.render.summary import summary
from payresil.render.text import text


def run_scenarios(
    paths: Sequence[Path],
    *,
    flaw: str | None,
    seed: int | None,
    backend: str,
    out: Path,
    at: Path | None = None,
    prometheus: str | None = None,
    junit_file: Path | None = None,
    summary_file: Path | None = None,
) -> int:
    """Run scenario files one after another; the worst exit status of all.

    `junit_file` and `summary_file` get the reports of all runs together.
    """
    files, left_out = scenario_files(paths)
    # Every file is read before the first one runs: a typing error must not cost a night.
    plans = prepare_all(
        files, flaw=flaw, seed=seed, backend=backend, out=out, at=at, prometheus=prometheus
    )
    for target in filter(None, (junit_file, summary_file)):
        _make_room(target)
    for warning in left_out:
        click.echo(f"warning: {warning}", err=True)
    series = run_series(plans, _tell)
    if len(plans) > 1:
        colour = _colour()
        say(summary(series.verdicts, not_run=series.names_not_run, colour=colour).rstrip())
    if junit_file is not None:
        _leave(junit_file, series.junit)
    if summary_file is not None:
        _leave(summary_file, series.comment)
    return worst_status([verdict.exit_status for verdict in series.verdicts])


def _tell(ended: Ended) -> None:
    if ended.folder is not None:
        say(_text(ended.folder, ended.verdict))
    elif ended.verdict.broken is not None:
        click.echo(f"Error: {ended.verdict.broken}", err=True)
    else:
        click.echo("interrupted before it was judged", err=True)


def _make_room(file: Path) -> None:
    """Try the file that is written after the last run: what is wrong must show before the first."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        was_there = file.exists()
        file.open("a").close()
        if not was_there:
            file.unlink()
    except OSError as error:
        raise Refusal(f"{file} cannot be written: {error}; name another file") from error


def _leave(file: Path, made: Callable[[], str]) -> None:
    """Write a file. The verdicts stand, written down or not."""
    try:
        file.write_text(made(), encoding="utf-8")
    except OSError as error:
        click.echo(f"warning: {file} could not be written: {error}", err=True)


def check_run(folder: Path) -> int:
    """Judge a recorded run again."""
    verdict = judge_folder(folder)
    say(_text(folder, verdict))
    return verdict.exit_status


def report_run(folder: Path, formats: Sequence[str]) -> int:
    """Render reports of a recorded run: to stdout if one is named, else the files again."""
    run, _ = open_run(folder)
    try:
        verdict = from_json((folder / VERDICT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        verdict = judge_folder(folder)
    except VerdictError as error:
        raise Refusal(str(error)) from error
    except (OSError, UnicodeError) as error:
        raise Refusal(
            f"{folder / VERDICT_FILE} cannot be read ({error}); `payresil check {folder}` "
            "judges the run again"
        ) from error
    if not formats:
        write_reports(run, verdict)
        say(f"report: {folder / 'report.html'}")
        return Exit.PASS
    for name in formats:
        try:
            say(renderers.get(name).call(run, verdict))
        except UnknownMember as error:
            raise Refusal(str(error)) from error
    return Exit.PASS


def sql_run(folder: Path, query: str, form: str) -> int:
    """Answer one query over a run's tables; nothing outside the run can be reached."""
    try:
        run = Run.open(folder)
        cursor = run.sql.execute(query)
    except RunError as error:
        raise Refusal(str(error)) from error
    except (duckdb.Error, RuntimeError, UnicodeError) as error:
        raise Refusal(f"the query fails: {error}") from error
    if cursor is None or cursor.description is None:
        raise Refusal('the query is empty: try "select * from intents limit 5"')
    columns = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    if form == "json":
        say(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str))
    elif form == "csv":
        text_of_rows = io.StringIO()
        writer = csv.writer(text_of_rows, lineterminator="\n")
        writer.writerows([columns, *rows])
        say(text_of_rows.getvalue().rstrip("\n"))
    else:
        say(_table(columns, rows))
    return Exit.PASS


def explain_scenario(
    path: Path,
    *,
    flaw: str | None,
    seed: int | None,
    backend: str = "process",
    at: Path | None = None,
) -> int:
    """Print the plan of a scenario."""
    plan = prepare(path, flaw=flaw, seed=seed, backend=backend, at=at, explaining=True)
    say(explain(plan.scenario, plan.system, plan.topology, plan.warnings))
    return Exit.PASS


def list_members(what: str, system: str) -> int:
    """List what scenarios can name."""
    if what == "flaws":
        try:
            named = list_flaws(load_system(system))
        except InvalidScenario as error:
            raise Refusal(str(error)) from error
        lines = sorted(named.items())
    else:
        sets: dict[str, OpenSet] = {
            "faults": faults,
            "remedies": remedies,
            "checkers": checkers,
            "journeys": journeys,
        }
        lines = [(member.name, member.claim) for member in sets[what].members()]
    width = max((len(name) for name, _ in lines), default=0)
    for name, claim in lines:
        say(f"{name:<{width}}  {claim}")
    return Exit.PASS


def _text(folder: Path, verdict: Verdict) -> str:
    run, _ = open_run(folder)
    rendered: str = text(run, verdict, colour=_colour())
    return rendered.rstrip()


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [
        list(columns),
        *[["" if value is None else str(value) for value in row] for row in rows],
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, f"({len(rows)} rows)"])

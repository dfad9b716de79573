"""The command line. Exit status: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 broke, 130 stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from payresil import __version__
from payresil.core.results import Exit

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


class _Refused(click.ClickException):
    """Something the user gave cannot be used; the message says what to do."""

    exit_code = Exit.USAGE


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="payresil")
@click.option(
    "--import",
    "imports",
    multiple=True,
    type=_FILE,
    metavar="FILE.py",
    help="Load faults, checkers or journeys of your own.",
)
def main(imports: tuple[Path, ...]) -> None:
    """When something breaks, does the money stay right, and how long until the service is back?"""
    from payresil.core.registry import import_file

    for path in imports:
        try:
            import_file(path)
        except (FileNotFoundError, ImportError, ValueError) as error:
            raise _Refused(str(error)) from error


def _adjustments(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--flaw", metavar="NAME", help="Run the service with a known flaw.")(
        command
    )
    return click.option("--seed", type=click.IntRange(min=0), help="Another seed.")(command)


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--at", type=_FILE, metavar="FILE", help="Where the system is, for --backend attach."
    )(command)
    return click.option("--backend", default="process", show_default=True)(command)


@main.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@_adjustments
@_where
@click.option(
    "--out",
    default=Path("reports"),
    show_default=True,
    type=_FOLDER,
    help="Where run folders are left.",
)
@click.option(
    "--prometheus", metavar="URL", help="A Prometheus that watches the system, for checks that ask."
)
@click.option("--junit", "junit_file", type=_FILE, metavar="FILE", help="One JUnit file of all.")
@click.option("--summary", "summary_file", type=_FILE, metavar="FILE", help="All in one comment.")
def run(scenarios: tuple[Path, ...], **options: Any) -> None:
    """Run scenarios, judge what happened, and write the reports.

    A folder means the scenarios (*.yaml) in it, without its subfolders. Several run one after
    another, and the exit status is the worst of all.
    """
    from payresil.engine.commands import run_scenarios

    sys.exit(_told(run_scenarios, scenarios, **options))


@main.command()
@click.argument("folder", metavar="RUN", type=_FOLDER)
def check(folder: Path) -> None:
    """Judge a recorded run again, from its folder alone."""
    from payresil.engine.commands import check_run

    sys.exit(_told(check_run, folder))


@main.command()
@click.argument("folder", metavar="RUN", type=_FOLDER)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME",
    help="text, json, junit, md or html; without it every file is written again.",
)
def report(folder: Path, formats: tuple[str, ...]) -> None:
    """Render the reports of a recorded run again, from its folder alone."""
    from payresil.engine.commands import report_run

    sys.exit(_told(report_run, folder, formats))


@main.command()
@click.argument("folder", metavar="RUN", type=_FOLDER)
@click.argument("query")
@click.option(
    "--format",
    "form",
    default="table",
    show_default=True,
    type=click.Choice(["table", "csv", "json"]),
)
def sql(folder: Path, query: str, form: str) -> None:
    """Ask a recorded run in SQL (DuckDB): payresil sql RUN "select * from intents limit 5"."""
    from payresil.engine.commands import sql_run

    sys.exit(_told(sql_run, folder, query, form))


@main.command()
@click.argument("scenario", type=_FILE)
@_adjustments
@_where
def explain(scenario: Path, **options: Any) -> None:
    """Print what a scenario would do, when, and what it claims; nothing is started."""
    from payresil.engine.commands import explain_scenario

    sys.exit(_told(explain_scenario, scenario, **options))


@main.command()
@click.option("--all", "every", is_flag=True, help="Also what a run that goes on may still use.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
def clean(every: bool, dry_run: bool) -> None:
    """Remove the containers, networks and folders of runs that were killed."""
    from payresil.engine.cleaning import clean as remove

    sys.exit(_told(remove, every=every, dry_run=dry_run))


_compose_file = click.option(
    "--file", type=_FILE, metavar="FILE", help="Another compose file than that of payresil."
)


_project = click.option(
    "--project",
    metavar="NAME",
    help="The compose project; else PAYRESIL_PROJECT, else payresil.",
)


@main.command()
@click.option("--observe", is_flag=True, help="Also Prometheus and Grafana.")
@_compose_file
@_project
def up(file: Path | None, project: str | None, observe: bool) -> None:
    """Bring the reference topology up as a stack that stays, and say where it is.

    Needs a Docker engine and Docker Compose. Images are named as for --backend docker.
    """
    from payresil.engine.stack import up as bring_up

    sys.exit(_told(bring_up, file=file, project=project, observe=observe))


@main.command()
@click.option("--volumes", is_flag=True, help="Remove what it has stored, too.")
@_compose_file
@_project
def down(file: Path | None, project: str | None, volumes: bool) -> None:
    """Take down what `payresil up` has brought up."""
    from payresil.engine.stack import down as take_down

    sys.exit(_told(take_down, file=file, project=project, volumes=volumes))


@main.command()
@click.argument("folder", type=_FOLDER)
@click.option("--system", "name", metavar="NAME", help="Its name; else that of the folder.")
def init(folder: Path, name: str | None) -> None:
    """Write a system file and two scenarios into the FOLDER of a service, to begin with."""
    from payresil.engine.beginning.command import init as begin

    sys.exit(_told(begin, folder, name))


@main.command()
@click.argument("system")
@_where
def doctor(system: str, **options: Any) -> None:
    """Try every mapping of a system file on the running service, and say what is wrong.

    SYSTEM is a system's name or the path of its file. The system is started, or, with --at, joined.
    """
    from payresil.engine.doctor.command import doctor as examine

    sys.exit(_told(examine, system, **options))


@main.command("list")
@click.argument("what", type=click.Choice(["faults", "remedies", "checkers", "flaws", "journeys"]))
@click.option("--system", default="refpay", show_default=True, help="Whose flaws to list.")
def list_(what: str, system: str) -> None:
    """List what scenarios can name."""
    from payresil.engine.commands import list_members

    sys.exit(_told(list_members, what, system))


def _told(command: Callable[..., int], *args: Any, **kwargs: Any) -> int:
    """Call a command. What ends it otherwise than with a status is told in words."""
    from payresil.core.protocols import EnvironmentBroke
    from payresil.engine.output import told_defect
    from payresil.engine.refusal import Refusal

    try:
        return command(*args, **kwargs)
    except Refusal as refusal:
        raise _Refused(str(refusal)) from refusal
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except EnvironmentBroke as error:
        click.echo(f"Error: {error}", err=True)
    except (Exception, SystemExit) as error:
        # A defect of ours or of a plug-in: never a status that could be taken for a verdict.
        click.echo(f"Error: {told_defect(error)}", err=True)
    return Exit.BROKEN


def entry() -> None:
    """The program `payresil`: click's own ending would call an interruption a failed check."""
    try:
        main.main(prog_name="payresil", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(Exit.INTERRUPTED)


if __name__ == "__main__":
    entry()

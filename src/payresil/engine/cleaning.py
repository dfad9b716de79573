"""``payresil clean``: removes what runs have left whose harness is gone."""

from __future__ import annotations

from collections.abc import Sequence

import click

from payresil.backends.leftovers import Leftover, scratch_folders
from payresil.core.protocols import EnvironmentBroke
from payresil.core.results import Exit
from payresil.engine.output import say


def clean(*, every: bool, dry_run: bool) -> int:
    """Remove leftovers, or, `dry_run`, say what would be; the exit status.

    `every` removes also what belongs to a run that goes on, or of which nobody can tell.
    """
    containers = _of_containers()
    found = [*(containers or ()), *scratch_folders()]
    chosen = [one for one in found if every or (one.harness is not None and one.harness.is_gone)]
    failures = 0
    for one in chosen:
        failures += not _removed(one, dry_run=dry_run)
    for one in found:
        if one not in chosen:
            say(f"left alone {one.name}: {_why(one)}")
    if not found:
        what = "folder" if containers is None else "container and no folder"
        say(f"no {what} is left of any run")
    return Exit.BROKEN if failures else Exit.PASS


def _of_containers() -> Sequence[Leftover] | None:
    """None when no engine answers, which is said: there may be none on this machine."""
    from payresil.backends.containers.engine import connect  # half a second, for this alone
    from payresil.backends.containers.leftovers import labelled

    try:
        return list(labelled(connect()))
    except EnvironmentBroke as error:
        click.echo(f"containers were not looked at: {error}", err=True)
        return None


def _removed(one: Leftover, *, dry_run: bool) -> bool:
    if dry_run:
        say(f"would remove {one.name}")
        return True
    try:
        one.remove()
    except (OSError, EnvironmentBroke) as error:
        click.echo(f"Error: {one.name} is not removed: {error}", err=True)
        return False
    say(f"removed {one.name}")
    return True


def _why(one: Leftover) -> str:
    if one.harness is None:
        return "it does not say whose it is; --all removes it"
    return f"process {one.harness.pid} on {one.harness.host} may still use it; --all removes it"

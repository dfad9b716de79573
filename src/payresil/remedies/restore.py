"""A database of a moment in the past, from the backups."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from payresil.core.protocols import (
    BackupDamaged,
    Environment,
    EnvironmentBroke,
    RemedyFailed,
    RemedyLog,
)
from payresil.core.registry import remedy
from payresil.core.topology import Node
from payresil.core.values import Duration


@remedy(needs=("regions",))
def restore(
    environment: Environment,
    steps: RemedyLog,
    ago: Duration = Duration(2.0),  # noqa: B008 - a value, never changed
) -> None:
    """A new database is made as things were `ago` before, beside the ones that run.

    From the archive's base backup, whose manifest is verified, and its write-ahead log. What it
    holds is written down, to be compared with the books, and it is ended: it takes nobody's place.
    Backups that cannot be restored fail the step, which says whether they are damaged. Steps:
    decide, restore.
    """
    steps.decide()
    with steps.step("restore") as found:
        found["until_us"] = until_us = time.time_ns() // 1000 - ago.ns // 1000
        with ExitStack() as stack:
            node = _restored(environment, stack, found, until_us)
            found["node"] = str(node)
            environment.databases.snapshot("restored", node)


def _restored(
    environment: Environment, stack: ExitStack, found: dict[str, Any], until_us: int
) -> Node:
    """That it cannot be restored is what a drill is there to find out, and no defect of it."""
    try:
        return stack.enter_context(environment.databases.restored(until_us))
    except EnvironmentBroke as error:
        found["damaged"] = isinstance(error, BackupDamaged)
        raise RemedyFailed(f"nothing can be restored: {error}") from error

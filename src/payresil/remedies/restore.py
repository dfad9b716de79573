"""A database of a moment in the past, from the backups."""

from __future__ import annotations

import time

from payresil.core.protocols import Environment, RemedyLog
from payresil.core.registry import remedy
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
    Steps: decide, restore.
    """
    steps.decide()
    with steps.step("restore") as found:
        found["until_us"] = until_us = time.time_ns() // 1000 - ago.ns // 1000
        with environment.databases.restored(until_us) as node:
            found["node"] = str(node)
            environment.databases.snapshot("restored", node)

"""Which of the PSP's events are for the service."""

from __future__ import annotations

from payresil.core.run import Run

_EVERY = "*"

#: What was ever tried, made, or is in a list (`$1`).
_TRIED = "select distinct type from psp_events where attempt > 0"
_MADE = "select distinct type from psp_events"
_LISTED = "select unnest($1::varchar[]) as type"


def know_webhook_types(run: Run) -> None:
    """Make the table `webhook_types`: the types of events that the service is to be told of.

    They are those in its system file. Where `run.json` does not hold them, they are the types of
    which a delivery was ever tried.
    """
    wanted = run.meta.get("webhook_events")
    types = _TRIED if wanted is None else _MADE if _EVERY in wanted else _LISTED
    table = f"create or replace temp table webhook_types as {types}"
    run.sql.execute(table, [wanted] if types is _LISTED else [])

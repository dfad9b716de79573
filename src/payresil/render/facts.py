"""What is to be said of a run beside its verdict: counts, faults, facts, how to repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from payresil.core.results import Verdict
from payresil.core.run import Run
from payresil.render.again import again


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a run holds. Attempts are counted as load, probe and audit made them."""

    attempts: int
    intents: int
    tried_twice: int
    attempts_by: Mapping[str, int]  # outcome → attempts
    intents_by: Mapping[str, int]  # outcome → intents
    first_ns: int | None  # first due, last done of any attempt
    last_ns: int | None


def counts(run: Run) -> Counts:
    """Count the attempts and intents of `run`."""
    attempts = dict(run.rows("select outcome, count(*) from attempts group by outcome"))
    intents = dict(run.rows("select outcome, count(*) from intents group by outcome"))
    twice = run.one("select count(*) from intents where attempts > 1")
    ((first_ns, last_ns),) = run.rows("select min(due_ns), max(done_ns) from attempts")
    return Counts(
        attempts=sum(attempts.values()),
        intents=sum(intents.values()),
        tried_twice=twice,
        attempts_by=attempts,
        intents_by=intents,
        first_ns=first_ns,
        last_ns=last_ns,
    )


def command(run: Run, verdict: Verdict) -> str:
    """The command that runs the same plan again, quoted for a shell.

    The scenario's own file where the run recorded it, else the copy in the run folder.
    """
    return again(run.meta, _scenario_file(run, verdict))


def query(run: Run) -> str:
    """The command that shows the timeline of an intent, whose name is to be filled in.

    A report is read where its folder was moved to, too: an absolute path would mislead there.
    """
    known = run.folder is not None and not run.folder.is_absolute()
    folder = shlex.quote(str(run.folder)) if known else "RUN"
    return (
        f'payresil sql {folder} "select at_ns / 1e9 as s, who, what from timeline '
        "where intent = '…' order by at_ns\""
    )


def _scenario_file(run: Run, verdict: Verdict) -> str:
    if run.folder is not None and (run.folder / "scenario.yaml").is_file():
        return str(run.folder / "scenario.yaml")
    return f"{verdict.scenario}.yaml"


def started(run: Run) -> datetime | None:
    """When the run's zero was, in UTC; None when it is not recorded."""
    micros = run.meta.get("zero_wall_us")
    if not isinstance(micros, int) or micros <= 0:
        return None
    try:
        return datetime.fromtimestamp(micros / 1e6, UTC)
    except (OverflowError, OSError, ValueError):  # no date that a calendar has
        return None


#: What of `run.json` a report shows, in this order. Anything else there stays there.
_SHOWN = {
    "run": "Run",
    "seed": "Seed",
    "system": "System",
    "replication": "Replication",
    "flaw": "Flaw put in on purpose",
    "backend": "Backend",
    "nodes": "Nodes",
    "links": "Links",
    "capabilities": "What the environment could do",
    "versions": "Versions",
    "machine": "Machine",
    "schema_version": "Table schema",
}


def facts(run: Run) -> list[tuple[str, list[str]]]:
    """Label and lines of every fact of the run that was recorded."""
    shown = [
        (label, _lines(run.meta[key]))
        for key, label in _SHOWN.items()
        if run.meta.get(key) not in (None, "", [], {})
    ]
    start = started(run)
    if start is not None:
        shown.insert(1, ("Zero of its clock", [f"{start:%Y-%m-%d %H:%M:%S} UTC"]))
    return shown


def parameters(given: Mapping[str, Any]) -> str:
    """Parameters of a check or a fault as a scenario has them: ``share: 30%, rto: 15s``."""
    return ", ".join(
        f"{name}: {_plain(value)}" for name, value in given.items() if value is not None
    )


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}: {_plain(inner)}" for key, inner in value.items()]
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return [_plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)

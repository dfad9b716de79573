"""What is read of regions at the audit: every database that runs, and the witness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from payresil.core.protocols import Environment, EnvironmentBroke, Unreachable
from payresil.core.system import System
from payresil.core.tables import TableError, from_rows, write_sealed
from payresil.engine.journal import Journal
from payresil.engine.topologies import WITNESS


def read_regions(folder: Path, system: System, environment: Environment, journal: Journal) -> None:
    """The moment ``end`` of every database, and who held the lease.

    With it, whom it streams from then. A database that cannot be read is named in the events:
    checks that need it have doubts then.

    Raises:
        EnvironmentBroke: when what a query gives does not fit.
    """
    for node in environment.databases.nodes():
        try:
            environment.databases.snapshot("end", node)
            standing = environment.databases.standing(node)
        except Unreachable as error:
            journal.write("harness", str(node), "warning", error=f"not read at the end: {error}")
            continue
        role = "primary" if standing.is_primary else "standby"
        journal.write("node", str(node), "stands", role=role, source=standing.source)
    if system.lease is None:
        return
    (witness,) = environment.topology.select_nodes(WITNESS)
    try:
        rows = environment.databases.rows(witness, system.lease.history)
    except Unreachable as error:
        journal.write("harness", WITNESS, "warning", error=f"not read at the end: {error}")
        return
    _write(folder, "epochs", rows)


def _write(folder: Path, table: str, rows: list[dict[str, Any]]) -> None:
    try:
        write_sealed(folder, table, from_rows(table, rows))
    except (TableError, TypeError, ValueError) as error:
        raise EnvironmentBroke(f"the query of {table} does not fit: {error}") from error

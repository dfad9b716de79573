"""Payments go on without the standby that they wait for."""

from __future__ import annotations

from payresil.core.protocols import Environment, RemedyFailed, RemedyLog, Unreachable
from payresil.core.registry import remedy
from payresil.core.topology import Node
from payresil.core.values import Duration
from payresil.remedies.detection import detect
from payresil.remedies.taking_over import standings


@remedy(needs=("regions",))
def degrade_to_async(
    environment: Environment,
    steps: RemedyLog,
    detect_after: Duration = Duration(1.0),  # noqa: B008 - a value, never changed
) -> None:
    """The primary waits for its standbys no more, once none of them was there for `detect_after`.

    From then on a loss of the primary may lose acknowledged payments: the RPO is not zero any
    more. Steps: detect (a primary that cannot be reached is taken to be well), decide, degrade.
    """
    databases = environment.databases
    primary = next(
        (
            node
            for node, each in standings(databases, databases.nodes()).items()
            if each.is_primary and node.region == environment.regions.active
        ),
        None,
    )
    if primary is None:
        raise RemedyFailed("no primary can be reached whose standbys could be watched")
    detect(steps, lambda: _has_what_it_waits_for(environment, primary), detect_after)
    steps.decide()
    with steps.step("degrade") as found:
        databases.replicate(primary, "asynchronous")
        found["node"] = str(primary)
        found["rpo"] = "not zero any more"


def _has_what_it_waits_for(environment: Environment, primary: Node) -> bool:
    """Of an operator who cannot reach the primary it is not known, so nothing is done."""
    sql = """select current_setting('synchronous_standby_names') = '' or exists (
               select from pg_stat_replication where sync_state in ('sync', 'quorum')) as there"""
    try:
        ((there,),) = [row.values() for row in environment.databases.rows(primary, sql)]
    except Unreachable:
        return True
    return bool(there)

"""Another database of the same region takes over."""

from __future__ import annotations

from payresil.core.protocols import Databases, Environment, RemedyFailed, RemedyLog, Unreachable
from payresil.core.registry import remedy
from payresil.core.topology import Node
from payresil.core.values import Duration
from payresil.remedies.detection import detect
from payresil.remedies.taking_over import (
    bring_to_rest,
    most_advanced,
    move_backups,
    once_reached,
    standings,
    take_writes,
    until_reached,
)


@remedy(needs=("regions",))
def database_failover(
    environment: Environment,
    steps: RemedyLog,
    detect_after: Duration = Duration(1.0),  # noqa: B008 - a value, never changed
) -> None:
    """A standby of the active region takes over when its primary has been away for `detect_after`.

    Steps: detect, decide, fence (the old primary is stopped and comes back as a standby that takes
    no writes; one that runs, and to which only the way is cut, cannot be fenced), catch_up (where a
    standby elsewhere has received more, the one here gets it from there first), promote, follow
    (the others stream from the new primary, which waits for none of them), resolve (no payment and
    no refund is in flight any more), reconcile (the service's own job), backups (pulled from the
    new primary).
    """
    databases = environment.databases
    region = environment.regions.active
    primary = _primary(environment)
    detect(steps, lambda: _answers(environment, primary), detect_after)
    steps.decide()
    here = [each for each in databases.nodes() if each.region == region and each != primary]
    most_advanced(standings(databases, here))  # or nobody would take writes after the fence
    with steps.step("fence"):
        _fence(environment, primary)
    others = [each for each in databases.nodes() if each != primary]
    chosen = most_advanced(once_reached(databases, steps, here))
    if databases.chooses_first:
        chosen = here[0]
    else:
        _catch_up(environment, steps, chosen, others)
    with steps.step("promote") as found:
        found["node"] = str(chosen)
        take_writes(environment, steps, found, chosen)
    with steps.step("follow") as found:
        found["nodes"] = _follow(environment, chosen, [each for each in others if each != chosen])
    bring_to_rest(environment, steps, region)
    move_backups(environment, steps, chosen)


def _primary(environment: Environment) -> Node:
    found = standings(environment.databases, environment.databases.nodes())
    region = environment.regions.active
    primaries = [node for node, each in found.items() if each.is_primary and node.region == region]
    if len(primaries) != 1:
        names = ", ".join(map(str, primaries)) or "none"
        raise RemedyFailed(f"there must be one primary in region {region} to watch, not {names}")
    return primaries[0]


def _answers(environment: Environment, node: Node) -> bool:
    try:
        return environment.databases.standing(node).is_primary
    except Unreachable:
        return False


def _fence(environment: Environment, primary: Node) -> None:
    try:
        environment.databases.fence(primary)
    except Unreachable as error:
        raise RemedyFailed(
            f"{primary} cannot be fenced, so nothing is promoted: {error}"
        ) from error


def _catch_up(environment: Environment, steps: RemedyLog, chosen: Node, others: list[Node]) -> None:
    """What another standby has received and the chosen one has not, it gets from there."""
    databases = environment.databases
    with steps.step("catch_up") as found:
        known = standings(databases, others)
        best = most_advanced(known)
        if chosen not in known:
            raise RemedyFailed(f"{chosen}, which was to be promoted, cannot be reached any more")
        behind = known[best].received - known[chosen].received
        found["bytes_behind"] = behind
        if behind <= 0:
            return
        found["from"] = str(best)
        wanted = known[best].received
        until_reached(steps, found, lambda: databases.follow(chosen, best))
        steps.until(lambda: _has(databases, chosen, wanted), every_s=0.05)


def _has(databases: Databases, node: Node, position: int) -> bool:
    try:
        return databases.standing(node).received >= position
    except Unreachable:
        return False


def _follow(environment: Environment, source: Node, nodes: list[Node]) -> dict[str, str]:
    """Have standbys stream from the new primary; those out of reach are named, and left."""
    found = {}
    for node in nodes:
        try:
            environment.databases.follow(node, source)
        except Unreachable as error:
            found[str(node)] = f"left: {error}"
        else:
            found[str(node)] = "follows"
    return found

"""The region that was lost takes payments again."""

from __future__ import annotations

from payresil.core.protocols import Environment, RemedyFailed, RemedyLog, Unreachable
from payresil.core.registry import remedy
from payresil.core.schema import RegionName
from payresil.core.topology import Node
from payresil.remedies.taking_over import (
    bring_to_rest,
    fence_by_lease,
    move_backups,
    standings,
    switch_traffic,
    take_writes,
    until_reached,
)


@remedy(needs=("regions",))
def failback(environment: Environment, steps: RemedyLog, to: RegionName) -> None:
    """The region `to` is made a standby again, catches up, and takes over as planned.

    Steps: wait (until another region is active and the databases of `to` answer), decide, rejoin
    (what they hold is written down, then they are rewound or copied afresh), catch_up, fence (the
    lease of the active region runs out and `to` takes it: from here to the end of switch nobody
    pays), level (all that was committed has arrived), promote, switch (the router sends customers
    there), follow (the other databases stream from the new primary, which waits for them as at
    first), resolve (no payment and no refund is in flight any more), reconcile (the service's own
    job), backups (pulled from the new primary).
    """
    regions, databases = environment.regions, environment.databases
    ours = [node for node in databases.nodes() if node.region == to]
    with steps.step("wait"):
        steps.until(lambda: regions.active != to and _all_answer(environment, ours))
    steps.decide()
    old = regions.active
    source = _primary(environment, old)
    with steps.step("rejoin") as found:
        for node in ours:
            databases.snapshot("before_rejoin", node)
            found[str(node)] = databases.rejoin(node, source)
    with steps.step("catch_up"):
        steps.until(lambda: _behind(environment, source, ours[0]) == 0, every_s=0.05)
    fence_by_lease(environment, steps, to, planned=True)
    with steps.step("level"):
        steps.until(lambda: _is_level(environment, source, ours[0]), every_s=0.02)
    with steps.step("promote") as found:
        found["node"] = str(ours[0])
        take_writes(environment, steps, found, ours[0])
    with steps.step("switch") as found:
        switch_traffic(environment, steps, found, to)
    with steps.step("follow") as found:
        for node in (each for each in databases.nodes() if each != ours[0]):
            found[str(node)] = _rejoined(environment, node, ours[0])
        until_reached(steps, found, lambda: databases.replicate(ours[0], databases.mode))
        found["mode"] = databases.mode
    bring_to_rest(environment, steps, to)
    move_backups(environment, steps, ours[0])


def _all_answer(environment: Environment, nodes: list[Node]) -> bool:
    return len(standings(environment.databases, nodes)) == len(nodes)


def _primary(environment: Environment, region: str) -> Node:
    nodes = [node for node in environment.databases.nodes() if node.region == region]
    for node, each in standings(environment.databases, nodes).items():
        if each.is_primary:
            return node
    raise RemedyFailed(f"region {region} is active and has no primary that can be reached")


def _behind(environment: Environment, source: Node, node: Node) -> int:
    databases = environment.databases
    return max(0, databases.standing(source).received - databases.standing(node).replayed)


def _is_level(environment: Environment, source: Node, node: Node) -> bool:
    """Nobody takes payments by then, so what is out of reach for a while is asked again."""
    try:
        return _behind(environment, source, node) == 0
    except Unreachable:
        return False


def _rejoined(environment: Environment, node: Node, source: Node) -> str:
    """A standby follows; a former primary is written down and rejoins."""
    databases = environment.databases
    try:
        if not databases.standing(node).is_primary:
            databases.follow(node, source)
            return "follows"
        databases.snapshot("before_rejoin", node)
        return databases.rejoin(node, source)
    except Unreachable as error:
        return f"left: {error}"

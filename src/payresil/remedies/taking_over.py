"""What every take-over has in common: who takes the lease, which standby, what comes after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from payresil.core.protocols import (
    Databases,
    Environment,
    RemedyFailed,
    RemedyLog,
    Standing,
    Unreachable,
)
from payresil.core.topology import Node


def fence_by_lease(
    environment: Environment, steps: RemedyLog, region: str, *, planned: bool = False
) -> None:
    """The step ``fence``: wait the lease of the other region out, and take the next epoch.

    `planned`: it ends payments that went well until then.
    """
    with steps.step("fence") as found:
        found["planned"] = planned

        def taken() -> bool:
            try:
                epoch, remaining_ms = environment.regions.take_lease(region)
            except Unreachable as error:  # nobody can take over until the witness is back
                found["last_unreachable"] = str(error)
                return False
            found.setdefault("held_for_ms", remaining_ms)
            if epoch is not None:
                found["epoch"] = epoch
            return epoch is not None

        steps.until(taken, every_s=0.05)


def standings(databases: Databases, nodes: Sequence[Node]) -> dict[Node, Standing]:
    """What those databases say of themselves that an operator can reach."""
    found = {}
    for node in nodes:
        try:
            found[node] = databases.standing(node)
        except Unreachable:
            continue
    return found


def once_reached(
    databases: Databases, steps: RemedyLog, nodes: Sequence[Node]
) -> dict[Node, Standing]:
    """`standings`, as soon as one of the databases answers.

    Raises:
        RemedyStopped: when the run ends before that.
    """
    known: dict[Node, Standing] = {}

    def answers() -> bool:
        known.update(standings(databases, nodes))
        return bool(known)

    steps.until(answers)
    return known


def most_advanced(found: dict[Node, Standing]) -> Node:
    """The standby that has received the most.

    Raises:
        RemedyFailed: when there is none.
    """
    standbys = {node: each for node, each in found.items() if not each.is_primary}
    if not standbys:
        raise RemedyFailed("no standby can be reached, so there is nothing to promote")
    return max(standbys, key=lambda node: _progress(standbys[node]))


def newest(found: dict[Node, Standing], region: str) -> Node:
    """The database that holds the most, be it a standby or one that was a primary before.

    Of two that hold the same a primary comes first: it takes writes already.

    Raises:
        RemedyFailed: when there is none.
    """
    if not found:
        raise RemedyFailed(
            f"no database of region {region} can be reached, so there is nothing to promote"
        )
    return max(found, key=lambda node: (*_progress(found[node]), found[node].is_primary))


def _progress(standing: Standing) -> tuple[int, int]:
    """What was written on a later timeline is newer, however much there is of an older one."""
    return standing.timeline, standing.received


def promote_newest(environment: Environment, steps: RemedyLog, region: str) -> Node:
    """The step ``promote``: the newest database of the region takes writes, and no other there.

    One that was the primary when the region was lost, and has come back as one, is fenced, unless
    it is the newest itself: services would write to either of them.
    """
    databases = environment.databases
    ours = [node for node in databases.nodes() if node.region == region]
    with steps.step("promote") as found:
        known = once_reached(databases, steps, ours)
        chosen = newest(known, region)
        stale = [node for node, each in known.items() if each.is_primary and node != chosen]
        found["node"] = str(chosen)
        was_primary = known[chosen].is_primary
        if was_primary:
            found["was_primary"] = True
        if stale:
            found["fenced"] = [str(node) for node in stale]
        for node in stale:
            until_reached(steps, found, partial(databases.fence, node))
        take_writes(environment, steps, found, chosen, was_primary=was_primary)
    return chosen


def take_writes(
    environment: Environment,
    steps: RemedyLog,
    found: dict[str, Any],
    node: Node,
    *,
    was_primary: bool = False,
) -> None:
    """Promote a standby, or leave a primary what it was, and write down what it holds.

    It came with the settings of the old primary, and must not wait for standbys that it has not.
    Whoever took payments is fenced by then: what is out of reach for a while is tried again.
    """
    databases = environment.databases
    if not was_primary:
        until_reached(steps, found, partial(databases.promote, node))
    until_reached(steps, found, partial(databases.snapshot, "promoted", node))
    until_reached(steps, found, partial(databases.replicate, node, "asynchronous"))


def switch_traffic(
    environment: Environment, steps: RemedyLog, found: dict[str, Any], region: str
) -> None:
    """Send customers to a region, as soon as the router can be told, until it serves them."""
    regions = environment.regions
    until_reached(steps, found, partial(regions.send_customers_to, region))
    steps.until(lambda: regions.serves(region), every_s=0.05)


def until_reached(steps: RemedyLog, found: dict[str, Any], act: Callable[[], object]) -> None:
    """Do something as soon as there is a way to do it; `found` has why there was none.

    Raises:
        RemedyStopped: when the run ends before that.
    """

    def done() -> bool:
        try:
            act()
        except Unreachable as error:
            found["last_unreachable"] = str(error)
            return False
        return True

    steps.until(done, every_s=0.05)


def move_backups(environment: Environment, steps: RemedyLog, node: Node) -> None:
    """The step ``backups``: the archive pulls the log of the new primary, where it can."""
    with steps.step("backups") as found:
        try:
            environment.databases.archive_from(node)
        except Unreachable as error:
            found["left"] = str(error)  # payments come before backups; backup_freshness tells


def bring_to_rest(environment: Environment, steps: RemedyLog, region: str) -> None:
    """The steps ``resolve`` and ``reconcile``: nothing unknown is left, the PSP's books agree."""
    regions = environment.regions
    with steps.step("resolve") as found:

        def resolved() -> bool:
            try:
                pending = regions.unknown(region)
            except Unreachable:
                return False
            found["unknown"] = dict(pending)
            return not any(pending.values())

        steps.until(resolved)
    with steps.step("reconcile") as found:
        until_reached(steps, found, lambda: found.update(answer=dict(regions.reconcile(region))))

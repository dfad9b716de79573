"""What every take-over has in common: who takes the lease, which standby, what comes after."""

from __future__ import annotations

from collections.abc import Sequence

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


def most_advanced(found: dict[Node, Standing]) -> Node:
    """The standby that has received the most.

    Raises:
        RemedyFailed: when there is none.
    """
    standbys = {node: each for node, each in found.items() if not each.is_primary}
    if not standbys:
        raise RemedyFailed("no standby can be reached, so there is nothing to promote")
    return max(standbys, key=lambda node: (standbys[node].timeline, standbys[node].received))


def take_writes(environment: Environment, node: Node) -> None:
    """Promote a standby, and write down what it holds.

    It came with the settings of the old primary, and must not wait for standbys that it has not.
    """
    databases = environment.databases
    databases.promote(node)
    databases.snapshot("promoted", node)
    databases.replicate(node, "asynchronous")


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
        found["answer"] = dict(regions.reconcile(region))

"""The other region takes over."""

from __future__ import annotations

from payresil.core.protocols import Environment, RemedyLog
from payresil.core.registry import remedy
from payresil.core.schema import RegionName
from payresil.core.values import Duration
from payresil.remedies.detection import detect
from payresil.remedies.taking_over import (
    bring_to_rest,
    fence_by_lease,
    most_advanced,
    move_backups,
    standings,
    take_writes,
)


@remedy(needs=("regions",))
def failover(
    environment: Environment,
    steps: RemedyLog,
    to: RegionName,
    detect_after: Duration = Duration(1.0),  # noqa: B008 - a value, never changed
) -> None:
    """The region `to` takes over when the active one has not served for `detect_after`.

    Steps: detect, decide, fence (wait the old region's lease out at the witness and take the next
    epoch), promote (the database of the region that has received the most), switch (the router
    sends customers there), resolve (no payment and no refund is in flight there any more),
    reconcile (the service's own job), backups (pulled from the new primary). The old region is left
    as it is.
    """
    regions, databases = environment.regions, environment.databases
    old = regions.active
    detect(steps, lambda: regions.serves(old), detect_after)
    steps.decide()
    fence_by_lease(environment, steps, to)
    with steps.step("promote") as found:
        ours = [node for node in databases.nodes() if node.region == to]
        chosen = most_advanced(standings(databases, ours))
        found["node"] = str(chosen)
        take_writes(environment, chosen)
    with steps.step("switch") as found:
        regions.send_customers_to(to)
        found["region"] = to
        steps.until(lambda: regions.serves(to), every_s=0.05)
    bring_to_rest(environment, steps, to)
    move_backups(environment, steps, chosen)

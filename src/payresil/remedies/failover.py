"""The other region takes over."""

from __future__ import annotations

from payresil.core.protocols import Environment, RemedyFailed, RemedyLog
from payresil.core.registry import remedy
from payresil.core.schema import RegionName
from payresil.core.values import Duration
from payresil.remedies.detection import detect
from payresil.remedies.taking_over import (
    bring_to_rest,
    fence_by_lease,
    move_backups,
    newest,
    promote_newest,
    standings,
    switch_traffic,
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
    epoch), promote (the database of the region that holds the most; another one there that is a
    primary from earlier is fenced), switch (the router sends customers there), resolve (no payment
    and no refund is in flight there any more), reconcile (the service's own job), backups (pulled
    from the new primary). The old region is left as it is.
    """
    regions, databases = environment.regions, environment.databases
    old = regions.active
    if old == to:
        raise RemedyFailed(f"region {to} takes payments already: fail over to another region")
    detect(steps, lambda: regions.serves(old), detect_after)
    steps.decide()
    # The lease is not given back: who cannot promote anything must not take it.
    newest(standings(databases, [each for each in databases.nodes() if each.region == to]), to)
    fence_by_lease(environment, steps, to)
    chosen = promote_newest(environment, steps, to)
    with steps.step("switch") as found:
        found["region"] = to
        switch_traffic(environment, steps, found, to)
    bring_to_rest(environment, steps, to)
    move_backups(environment, steps, chosen)

"""A new version of the service, instance by instance."""

from __future__ import annotations

from payresil.core.protocols import Environment, RemedyFailed, RemedyLog
from payresil.core.registry import remedy
from payresil.core.schema import RegionName
from payresil.core.topology import Node


@remedy(needs=("regions", "nodes"))
def deploy(environment: Environment, steps: RemedyLog, region: RegionName) -> None:
    """The instances of a region are stopped in order and started again, one after the other.

    The new version is the same program: what is put to the test is the deployment. Steps: decide,
    and one for each instance. In the region that takes payments the next one waits until the region
    serves again, and the rollout stops where it does not, or where another region has taken over.
    """
    steps.decide()
    nodes = [
        node
        for node in environment.topology.nodes
        if node.role == "service" and node.region == region
    ]
    if not nodes:
        raise RemedyFailed(f"region {region} has no instance to deploy to")
    was_active = environment.regions.active == region
    for node in nodes:
        with steps.step(f"instance {node}") as found:
            found["replaced"] = _replace(environment, steps, node, was_active)
        if not found["replaced"]:
            return


def _replace(environment: Environment, steps: RemedyLog, node: Node, was_active: bool) -> bool:
    """Whether it was replaced: who cannot see the region serve any more leaves it as it is."""
    regions, region = environment.regions, str(node.region)
    if was_active and not (regions.active == region and regions.serves(region)):
        return False
    environment.nodes.stop(node)
    environment.nodes.start(node)
    if was_active:
        steps.until(lambda: regions.serves(region) or regions.active != region)
    return True

"""A new version of the service, instance by instance."""

from __future__ import annotations

from typing import Any

from payresil.core.protocols import Environment, RemedyFailed, RemedyLog, Unreachable
from payresil.core.registry import remedy
from payresil.core.schema import RegionName
from payresil.core.topology import Node


@remedy(needs=("regions", "nodes"))
def deploy(environment: Environment, steps: RemedyLog, region: RegionName) -> None:
    """The instances of a region are stopped in order and started again, one after the other.

    The new version is the same program: what is put to the test is the deployment. Steps: decide,
    and one for each instance. In the region that takes payments the next one waits until the region
    serves again, and the rollout stops where it does not, or where another region has taken over.
    It stops as well where the way to the region is cut or an instance does not come up again; a
    region that is out of reach from the beginning is an error.
    """
    steps.decide()
    nodes = [
        node
        for node in environment.topology.nodes
        if node.role == "service" and node.region == region
    ]
    if not nodes:
        raise RemedyFailed(f"region {region} has no instance to deploy to")
    environment.regions.knock(region)
    was_active = environment.regions.active == region
    for node in nodes:
        with steps.step(f"instance {node}") as found:
            goes_on = _goes_on(environment, region, was_active, found)
            found["replaced"] = goes_on and _replace(environment, steps, node, was_active)
        if not found["replaced"]:
            return


def _goes_on(
    environment: Environment, region: str, was_active: bool, found: dict[str, Any]
) -> bool:
    """Who cannot see the region serve any more, or has no way to it, leaves it as it is."""
    regions = environment.regions
    try:
        regions.knock(region)
    except Unreachable as error:
        found["left"] = str(error)
        return False
    return not was_active or (regions.active == region and regions.serves(region))


def _replace(environment: Environment, steps: RemedyLog, node: Node, was_active: bool) -> bool:
    """Whether it came up again: a fault may want it down."""
    regions, region = environment.regions, str(node.region)
    with environment.nodes.held(node):
        pass  # here the new version would be put in its place
    runs = environment.nodes.runs(node)
    if was_active:
        steps.until(lambda: regions.serves(region) or regions.active != region)
    return runs

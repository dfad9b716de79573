"""A new version of the service, instance by instance."""

from __future__ import annotations

from payresil.core.protocols import Environment, RemedyFailed, RemedyLog
from payresil.core.registry import remedy
from payresil.core.topology import Node


@remedy(needs=("regions", "nodes"))
def deploy(environment: Environment, steps: RemedyLog, region: str) -> None:
    """The instances of a region are ended in order and started again, one after the other.

    The new version is the same program: what is put to the test is the deployment. Steps: decide,
    and one for each instance. An operator who cannot reach the region stops there.
    """
    steps.decide()
    nodes = [
        node
        for node in environment.topology.nodes
        if node.role == "service" and node.region == region
    ]
    if not nodes:
        raise RemedyFailed(f"region {region} has no instance to deploy to")
    for node in nodes:
        with steps.step(f"instance {node}"):
            _replace(environment, steps, node, region)


def _replace(environment: Environment, steps: RemedyLog, node: Node, region: str) -> None:
    regions = environment.regions
    was_active = regions.active == region
    if was_active and not regions.serves(region):
        raise RemedyFailed(f"region {region} does not serve: {node} is left as it is")
    environment.nodes.stop(node)
    environment.nodes.start(node)
    if was_active:
        steps.until(lambda: regions.serves(region))

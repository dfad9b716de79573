"""Cutting a container off from the network that its links are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.backends.containers.container_node import ContainerNode
from payresil.backends.containers.engine import asked
from payresil.backends.containers.networks import Networks, alias
from payresil.core.topology import Node


@contextmanager
def unplugged(networks: Networks, node: Node, part: ContainerNode) -> Iterator[None]:
    """Take a container out of its network while the context lasts; the harness still reaches it.

    Raises:
        EnvironmentBroke: when the engine refuses.
    """
    network = networks.docker_network(node)
    with asked(f"{node} cannot be disconnected"):
        network.disconnect(part.container)
    try:
        yield
    finally:
        with asked(f"{node} cannot be connected again"):
            network.connect(part.container, aliases=[alias(part.name)])

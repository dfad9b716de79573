"""Cutting a container off from the network that its links are in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from docker.models.networks import Network

from payresil.backends.containers.container_node import ContainerNode
from payresil.backends.containers.engine import asked
from payresil.backends.containers.networks import Networks
from payresil.core.topology import Node


@contextmanager
def unplugged(networks: Networks, node: Node, part: ContainerNode) -> Iterator[None]:
    """Take a container out of all its networks while the context lasts, but for the harness's.

    Raises:
        EnvironmentBroke: when the engine refuses.
    """
    with ExitStack() as stack:
        with asked(f"{node} cannot be disconnected"):
            part.container.reload()
            for network, aliases in networks.of_container(part.container):
                network.disconnect(part.container)
                stack.callback(_plugged_in, node, network, part, aliases)
        yield


def _plugged_in(node: Node, network: Network, part: ContainerNode, aliases: list[str]) -> None:
    with asked(f"{node} cannot be connected again"):
        network.connect(part.container, aliases=aliases)

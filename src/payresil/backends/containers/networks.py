"""The networks of a run: one for each region, one for the PSP, one for the ingress.

None of them leads out of the engine, and Toxiproxy is the only one in several of them: from one to
another it is the only way. Inside a region nodes could reach each other, but are told of nobody but
Toxiproxy, and know no other name. One network more is the harness's: ports are published through
it, and those who are in it cannot reach each other.
"""

from __future__ import annotations

from collections.abc import Iterable

import docker
from docker.models.containers import Container
from docker.models.networks import Network as DockerNetwork
from testcontainers.core.network import Network

from payresil.backends.containers.apartness import TOXIPROXY as TOXIPROXY
from payresil.backends.containers.engine import asked
from payresil.backends.containers.labels import Labels
from payresil.core.topology import Node

_NO_CONTACT = {"com.docker.network.bridge.enable_icc": "false"}


def network_key(node: Node) -> str:
    """Which network a node is in: its region, or what it is where it is in none."""
    return node.region or ("psp" if node.role == "psp" else "ingress")


def alias(name: str) -> str:
    """What a node is called in its network: a host name."""
    return name.replace("/", "-").replace(".", "-").replace("_", "-")


class Networks:
    """The networks of one run; removed with everything else that bears its labels."""

    def __init__(self, client: docker.DockerClient, labels: Labels) -> None:
        """Make the harness's.

        Raises:
            EnvironmentBroke: when the engine refuses.
        """
        self._client = client
        self._labels = labels
        self._inner: dict[str, Network] = {}
        self.harness = self._created("harness", options=_NO_CONTACT)

    def create(self, nodes: Iterable[Node]) -> None:
        """Make the networks that these nodes are in.

        Raises:
            EnvironmentBroke: when the engine refuses.
        """
        for key in sorted({network_key(node) for node in nodes}):
            self._inner[key] = self._created(key, internal=True)

    def of(self, node: Node) -> Network:
        """The network that a node is in."""
        return self._inner[network_key(node)]

    def of_container(self, container: Container) -> list[tuple[DockerNetwork, list[str]]]:
        """The networks that a container is in, but for the harness's, and its names there.

        Raises:
            EnvironmentBroke: when the engine does not know one.
        """
        joined = container.attrs["NetworkSettings"]["Networks"].values()
        with asked(f"a network of {container.name} is gone"):
            return [
                (self._client.networks.get(each["NetworkID"]), list(each["Aliases"] or ()))
                for each in joined
                if each["NetworkID"] != self.harness.id
            ]

    def inner(self) -> tuple[Network, ...]:
        """Every network but the harness's."""
        return tuple(self._inner.values())

    def _created(self, key: str, **options: object) -> Network:
        network = Network(docker_network_kw={"labels": self._labels.of(), **options})
        network.name = self._labels.name(key)
        with asked(f"the network {network.name} cannot be made"):
            return network.create()

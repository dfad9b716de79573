"""Where the proxies of links are: all in one container, each on a port known beforehand."""

from __future__ import annotations

from payresil.backends.containers.networks import TOXIPROXY
from payresil.core.topology import Link, Topology

_FIRST_PORT = 20001


class InNetworks:
    """`links.Places` for proxies in a container."""

    def __init__(self, topology: Topology) -> None:
        self._ports = {link: _FIRST_PORT + n for n, link in enumerate(topology.links)}
        self.customers_address = ""  # where customers come in, once that is published

    @property
    def customers_port(self) -> int:
        """The port of the proxy that customers come in by."""
        return next(port for link, port in self._ports.items() if link.source.role == "customers")

    def listen(self, link: Link) -> str:
        """A port of its own, in every network that Toxiproxy is in."""
        return f"0.0.0.0:{self._ports[link]}"

    def reached(self, link: Link, listening: str) -> str:
        """By name from a container; customers are none."""
        if link.source.role == "customers":
            return self.customers_address
        return f"{TOXIPROXY}:{self._ports[link]}"

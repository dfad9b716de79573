"""The databases of two regions as the harness knows them, and the ways an operator has to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from payresil.backends.embedded.parts import Part
from payresil.backends.embedded.postgres import Postgres
from payresil.backends.links import ProxiedLinks
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Link, Node

OPERATOR = Node(None, "operator")
WITNESS = Node("w", "witness")
ARCHIVE = Node("w", "archive")


@dataclass(frozen=True)
class Members:
    """Every database of the service, the first primary first, and the witness."""

    databases: Mapping[Node, Postgres]
    witness: Postgres
    parts: Mapping[Node, Part]
    links: ProxiedLinks

    def named(self, node: Node) -> Postgres:
        """The database of this name.

        Raises:
            EnvironmentBroke: when there is none.
        """
        if node not in self.databases:
            raise EnvironmentBroke(f"{node} is no database of the service")
        return self.databases[node]

    def operators_url(self, node: Node, role: str) -> str:
        """A database's URL over the operator's link to it."""
        database = self.witness if node == WITNESS else self.named(node)
        return database.url(role, self.operators_address(node))

    def operators_address(self, node: Node) -> str:
        """``host:port`` of the operator's link to a node."""
        return self.links.address(Link(OPERATOR, node))

    def direct_url(self, node: Node, role: str) -> str:
        """A database's URL past every link: for what the harness reads, never for a remedy."""
        database = self.witness if node == WITNESS else self.named(node)
        return database.url(role, self.parts[node].address)

    def source_address(self, node: Node, source: Node) -> str:
        """``host:port`` at which `node` streams from `source`."""
        return self.links.address(Link(node, source))

    def source_at(self, node: Node, address: str | None) -> Node | None:
        """The database that `node` reaches at ``host:port``."""
        for source in self.databases:
            if source != node and self.source_address(node, source) == address:
                return source
        return None

    def waited_for(self, node: Node, mode: str) -> tuple[str, ...]:
        """Whose word the commits of `node` wait for.

        In mode synchronous the standby of the other region, in mode quorum any standby.

        Raises:
            EnvironmentBroke: when there is none.
        """
        if mode == "asynchronous":
            return ()
        others = [each for each in self.databases if each != node]
        if mode == "synchronous":
            others = [each for each in others if each.region != node.region]
        if not others:
            raise EnvironmentBroke(f"{node} has no standby to wait for")
        return tuple(map(str, others))

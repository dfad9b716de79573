"""Everything there is to control of two regions, and where things are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from payresil.backends.embedded.control import NodeControl
from payresil.backends.embedded.postgres_roles import AUDITOR, OPERATOR
from payresil.backends.embedded.regions.control import RegionControl
from payresil.backends.embedded.regions.databases import ReplicatedDatabases
from payresil.backends.embedded.regions.members import ARCHIVE
from payresil.backends.embedded.regions.startup import RegionalStartup
from payresil.backends.embedded.replication import operating
from payresil.backends.embedded.replication.lag import ReplicationLag
from payresil.core.protocols import (
    Assembly,
    Endpoints,
    EnvironmentBroke,
    Reading,
    Unreachable,
)
from payresil.core.topology import Node


class RegionalControl:
    """`embedded.environment.Regional`, once the regions run."""

    def __init__(self, assembly: Assembly, startup: RegionalStartup, nodes: NodeControl) -> None:
        self.regions: RegionControl = startup.control
        self._members = members = startup.members
        urls = {str(node): members.direct_url(node, OPERATOR) for node in members.databases}
        self._lag = ReplicationLag(urls, str(ARCHIVE))
        self.databases = ReplicatedDatabases(
            assembly, startup.members, nodes, startup.control.knock, startup.archiving
        )

    def endpoints(self, at_start: Endpoints) -> Endpoints:
        """The books and the service of the region that takes payments now."""
        region = self.regions.active
        service = next(
            part
            for node, part in self._members.parts.items()
            if node.role == "service" and node.region == region
        )
        return replace(
            at_start,
            admin=f"http://{service.address}",
            books=self._books(region),
            readings=self._readings,
        )

    def _books(self, region: str) -> str:
        """The primary of the region; while it is away, any database of it that was one last."""
        urls = {
            node: self._members.direct_url(node, AUDITOR)
            for node in self._members.databases
            if node.region == region
        }
        for node in urls:
            if self._is_primary(node):
                return urls[node]
        return next(iter(urls.values()))

    def _is_primary(self, node: Node) -> bool:
        """Past every link: which books are read must not depend on a fault that lasts."""
        try:
            return operating.standing(self._members.direct_url(node, OPERATOR)).is_primary
        except (Unreachable, EnvironmentBroke):
            return False

    def _readings(self) -> Sequence[Reading]:
        return [Reading(*sample) for sample in self._lag.samples()]


def controlled(assembly: Assembly, startup: RegionalStartup) -> partial[RegionalControl]:
    """Makes the control, given that of the nodes."""
    return partial(RegionalControl, assembly, startup)

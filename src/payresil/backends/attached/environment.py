"""A system that runs already, and the little that may be done to it."""

from __future__ import annotations

from contextlib import ExitStack

from payresil.backends.attached.borrowed_psp import BorrowedPsp, NoPsp
from payresil.backends.heartbeat import Heartbeat
from payresil.backends.links import ProxiedLinks
from payresil.core.protocols import (
    Databases,
    Endpoints,
    EnvironmentBroke,
    Limits,
    Networks,
    Nodes,
    Regions,
)
from payresil.core.topology import Topology


class AttachedEnvironment:
    """`core.protocols.Environment` over somebody else's system."""

    def __init__(
        self,
        topology: Topology,
        capabilities: frozenset[str],
        endpoints: Endpoints,
        links: ProxiedLinks,
        psp: BorrowedPsp | NoPsp,
        heartbeat: Heartbeat | None,
    ) -> None:
        self.topology = topology
        self.capabilities = capabilities
        self.endpoints = endpoints
        self.links = links
        self.psp = psp
        self._heartbeat = heartbeat

    @property
    def nodes(self) -> Nodes:
        """Raises `EnvironmentBroke`: they are not ours."""
        raise EnvironmentBroke("payresil did not start these nodes, so it does not end them")

    @property
    def networks(self) -> Networks:
        """Raises `EnvironmentBroke`: they are not ours."""
        raise EnvironmentBroke("payresil did not make these networks, so it does not change them")

    @property
    def limits(self) -> Limits:
        """Raises `EnvironmentBroke`: the nodes are not ours."""
        raise EnvironmentBroke("payresil did not start these nodes, so it does not limit them")

    @property
    def databases(self) -> Databases:
        """Raises `EnvironmentBroke`: they are not ours."""
        raise EnvironmentBroke("payresil did not start these databases, so it does not run them")

    @property
    def regions(self) -> Regions:
        """Raises `EnvironmentBroke`: they are not ours."""
        raise EnvironmentBroke("payresil did not start these regions, so it does not switch them")

    def heal(self) -> None:
        """Take away every fault of this run, and read back that none is left.

        Raises:
            EnvironmentBroke: naming what is still faulted.
        """
        with ExitStack() as stack:
            stack.callback(self.psp.heal)
            stack.callback(self.links.heal)

    def check(self) -> None:
        """Raise `EnvironmentBroke` when the PSP does not keep its lease any more."""
        if self._heartbeat is not None:
            self._heartbeat.check()

"""A system that runs, and what may be done to it; the same for processes and containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol

from payresil.backends.embedded.control import NodeControl
from payresil.backends.embedded.isolation import Cut, Isolation
from payresil.backends.embedded.startup import Running
from payresil.backends.heartbeat import Heartbeat
from payresil.backends.links import ProxiedLinks
from payresil.backends.psp_control import PspControl
from payresil.core.protocols import (
    Databases,
    Endpoints,
    EnvironmentBroke,
    Limits,
    Regions,
)
from payresil.core.topology import Node, Topology


class HealedLimits(Limits, Protocol):
    """Limits that can all be lifted."""

    def heal(self) -> None:
        """Lift every limit, and start again what was killed for one."""
        ...


class Regional(Protocol):
    """What there is to control of several regions."""

    @property
    def databases(self) -> Databases:
        """The databases, over an operator's links."""
        ...

    @property
    def regions(self) -> Regions:
        """The regions, over an operator's links."""
        ...

    def endpoints(self, at_start: Endpoints) -> Endpoints:
        """Where things are now, given where they were at the start."""
        ...


class RunningEnvironment:
    """`core.protocols.Environment` over parts that were started."""

    def __init__(
        self,
        topology: Topology,
        running: Running,
        *,
        capabilities: frozenset[str],
        cut: Cut,
        report: Callable[..., None],
        limits: HealedLimits | None = None,
        regional: Callable[[NodeControl], Regional] | None = None,
    ) -> None:
        """From now on faults heal by themselves unless their leases are renewed.

        `cut` cuts a node off from the network. `regional` makes what there is to control of several
        regions, with what may be done to their nodes.

        Raises:
            EnvironmentBroke: when there is nobody to keep a lease.
        """
        self.topology = topology
        self.capabilities = capabilities
        self.links: ProxiedLinks = running.links
        self.psp: PspControl = running.psp
        self.networks = Isolation(running.nodes, cut, report)
        self._running = running
        self._limits = limits
        self._heartbeat = Heartbeat(_renewals(running))
        self.nodes = NodeControl(running.nodes, leaves=self._leaves, returns=self._returns)
        self._regional = None if regional is None else regional(self.nodes)

    @property
    def endpoints(self) -> Endpoints:
        """Where things are; of several regions, in the one that takes payments now."""
        if self._regional is None:
            return self._running.endpoints
        return self._regional.endpoints(self._running.endpoints)

    @property
    def databases(self) -> Databases:
        """The replicated databases.

        Raises:
            EnvironmentBroke: where there are none.
        """
        return self._several().databases

    @property
    def regions(self) -> Regions:
        """The regions.

        Raises:
            EnvironmentBroke: where there is only one.
        """
        return self._several().regions

    def _several(self) -> Regional:
        if self._regional is None:
            raise EnvironmentBroke("this system has one region, and one database at most")
        return self._regional

    @property
    def limits(self) -> Limits:
        """What nodes may use.

        Raises:
            EnvironmentBroke: where nodes cannot be limited.
        """
        if self._limits is None:
            raise EnvironmentBroke("the nodes of this backend cannot be limited")
        return self._limits

    def heal(self) -> None:
        """Take every fault away, and read back that none is left.

        Raises:
            EnvironmentBroke: naming what is still faulted, or does not come back.
        """
        with ExitStack() as stack:  # the last is first: the PSP must be there to be asked
            stack.callback(self.psp.heal)
            stack.callback(self.links.heal)
            stack.callback(self.nodes.heal)
            stack.callback(self.networks.heal)
            if self._limits is not None:
                stack.callback(self._limits.heal)

    def check(self) -> None:
        """Raise `EnvironmentBroke` when a node died that nobody killed, with its last log lines."""
        self._running.toxiproxy.check()
        for part in self._running.nodes.values():
            part.check()
        self._heartbeat.check()

    def close(self) -> None:
        """Let go of the leases."""
        self._heartbeat.close()

    def _leaves(self, node: Node) -> None:
        self._heartbeat.expect_silence(str(node))

    def _returns(self, node: Node) -> None:
        self._heartbeat.expect_answers(str(node))


def _renewals(running: Running) -> Mapping[str, Callable[[int], None]]:
    renewals = {"psp": running.psp.renew_lease}
    if running.proxies.keeps_leases():
        renewals["toxiproxy"] = running.proxies.renew_lease
    return renewals

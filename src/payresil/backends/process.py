"""The default backend: every node is a process of this machine. No Docker and no root needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from payresil.backends.embedded.control import NodeControl
from payresil.backends.embedded.startup import Running, Startup
from payresil.backends.heartbeat import Heartbeat
from payresil.backends.links import ProxiedLinks
from payresil.backends.psp_control import PspControl
from payresil.core.protocols import (
    Assembly,
    Endpoints,
    Environment,
    EnvironmentBroke,
    Launcher,
)
from payresil.core.registry import backend
from payresil.core.topology import Node, Topology

CAPABILITIES = frozenset({"links", "psp_rules", "nodes"})


class ProcessEnvironment:
    """`core.protocols.Environment` over processes."""

    def __init__(self, topology: Topology, running: Running) -> None:
        """From now on faults heal by themselves unless their leases are renewed.

        Raises:
            EnvironmentBroke: when there is nobody to keep a lease.
        """
        self.topology = topology
        self.capabilities = CAPABILITIES
        self.endpoints: Endpoints = running.endpoints
        self.links: ProxiedLinks = running.links
        self.psp: PspControl = running.psp
        self._running = running
        self._heartbeat = Heartbeat(
            {"toxiproxy": running.proxies.renew_lease, "psp": running.psp.renew_lease}
        )
        self.nodes = NodeControl(running.nodes, leaves=self._leaves, returns=self._returns)

    def heal(self) -> None:
        """Take every fault away, and read back that none is left.

        Raises:
            EnvironmentBroke: naming what is still faulted, or does not come back.
        """
        with ExitStack() as stack:  # the last is first: the PSP must be there to be asked
            stack.callback(self.psp.heal)
            stack.callback(self.links.heal)
            stack.callback(self.nodes.heal)

    def check(self) -> None:
        """Raise `EnvironmentBroke` when a node died that nobody killed, with its last log lines."""
        self._running.toxiproxy.check()
        for process in self._running.nodes.values():
            process.check()
        self._heartbeat.check()

    def close(self) -> None:
        """Let go of the leases."""
        self._heartbeat.close()

    def _leaves(self, node: Node) -> None:
        self._heartbeat.expect_silence(str(node))

    def _returns(self, node: Node) -> None:
        self._heartbeat.expect_answers(str(node))


@backend
@contextmanager
def process(assembly: Assembly, launcher: Launcher) -> Iterator[Environment]:
    """Real parts as processes of this machine, every link through the own Toxiproxy server.

    Raises:
        EnvironmentBroke: when a part is missing or does not start, or when at the end a fault
            cannot be healed.
    """
    launcher.sweep(assembly.work)
    with ExitStack() as stack:
        running = Startup(assembly, launcher, stack).run()
        environment = ProcessEnvironment(assembly.topology, running)
        stack.callback(environment.close)
        try:
            yield environment
        except BaseException:
            _heal_quietly(assembly, environment)
            raise
        environment.heal()


def _heal_quietly(assembly: Assembly, environment: Environment) -> None:
    """Heal while something else is being raised, which must not be hidden by a second failure."""
    try:
        environment.heal()
    except EnvironmentBroke as error:
        assembly.on_event("harness", "environment", "warning", error=f"not healed: {error}")

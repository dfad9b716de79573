"""The backend whose nodes are containers: one network for each region, links through Toxiproxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from payresil.backends.embedded.environment import RunningEnvironment
from payresil.backends.embedded.isolation import silenced
from payresil.backends.embedded.startup import Running, Startup
from payresil.backends.embedded.stopping import stop
from payresil.backends.healing import healed_at_the_end
from payresil.core.protocols import Assembly, Environment, Launcher
from payresil.core.registry import backend
from payresil.core.topology import Node

if TYPE_CHECKING:
    from payresil.backends.containers.workshop import ContainerWorkshop

CAPABILITIES = frozenset({"links", "psp_rules", "nodes", "networks", "limits"})


@backend(brings_prometheus=True)
@contextmanager
def docker(assembly: Assembly, launcher: Launcher) -> Iterator[Environment]:
    """Real parts as containers of a Docker engine, every link through Toxiproxy.

    Raises:
        EnvironmentBroke: when no engine answers, when an image is missing or a part does not start,
            or when at the end a fault cannot be healed.
    """
    # Not at the top: they take half a second, which other backends have no use for.
    from payresil.backends.containers.dock import docked
    from payresil.backends.containers.engine import connect, refuse_other_machine
    from payresil.backends.containers.images import make_present
    from payresil.backends.containers.isolation import unplugged
    from payresil.backends.containers.limits import ContainerLimits
    from payresil.backends.containers.settings import read_settings
    from payresil.backends.containers.workshop import ContainerWorkshop

    launcher.sweep(assembly.work)
    settings, client = read_settings(os.environ), connect()
    images = settings.images_for(assembly.system, asks_prometheus=assembly.asks_prometheus)
    make_present(client, images, settings.platform)
    version = client.version()["Version"]
    assembly.on_event("harness", "docker", "engine", version=version, images=images)
    with ExitStack() as stack:
        dock = stack.enter_context(
            docked(client, settings, assembly.run, assembly.logs, assembly.on_event)
        )
        workshop = ContainerWorkshop(assembly, dock, launcher, stack)
        running = Startup(assembly, workshop, stack).run()
        refuse_other_machine(workshop.psp_container)
        if assembly.asks_prometheus:
            running = _watched(running, workshop, stack)

        @contextmanager
        def cut(node: Node) -> Iterator[None]:
            # Silent first, so that connections which are open close when it is back, and are not
            # waited on for ever: its address may be another then.
            with (
                silenced(running.links, assembly.topology, node),
                unplugged(dock.networks, node, workshop.parts[node]),
            ):
                yield

        environment = RunningEnvironment(
            assembly.topology,
            running,
            capabilities=CAPABILITIES,
            cut=cut,
            report=assembly.on_event,
            limits=ContainerLimits(
                workshop.parts, int(client.info()["MemTotal"]), assembly.on_event
            ),
        )
        stack.callback(environment.close)
        stack.enter_context(healed_at_the_end(assembly, environment))
        yield environment


def _watched(running: Running, workshop: ContainerWorkshop, stack: ExitStack) -> Running:
    """The same with a Prometheus; started last, so that it does not see nodes that start."""
    prometheus = workshop.prometheus(running.endpoints.metrics)
    stack.callback(stop, [prometheus])
    prometheus.launch()
    prometheus.await_ready()
    endpoints = replace(running.endpoints, prometheus=f"http://{prometheus.address}")
    return replace(running, endpoints=endpoints)

"""The default backend: every node is a process of this machine. No Docker and no root needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from payresil.backends.embedded.environment import RunningEnvironment
from payresil.backends.embedded.isolation import silenced
from payresil.backends.embedded.regions.regional import controlled
from payresil.backends.embedded.regions.startup import RegionalStartup
from payresil.backends.embedded.startup import Startup
from payresil.backends.embedded.workshop import ProcessWorkshop
from payresil.backends.healing import healed_at_the_end
from payresil.core.protocols import Assembly, Environment, Launcher
from payresil.core.registry import backend

CAPABILITIES = frozenset({"links", "psp_rules", "nodes", "networks"})


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
        workshop = ProcessWorkshop(assembly, launcher, stack)
        regional = None
        if assembly.system.regions is None:
            running = Startup(assembly, workshop, stack).run()
        else:
            startup = RegionalStartup(assembly, workshop, stack)
            running = startup.run()
            regional = controlled(assembly, startup)
        environment = RunningEnvironment(
            assembly.topology,
            running,
            capabilities=CAPABILITIES if regional is None else CAPABILITIES | {"regions"},
            # Processes have one network between them, so a node's links are all that can be cut.
            cut=lambda node: silenced(running.links, assembly.topology, node),
            report=assembly.on_event,
            regional=regional,
        )
        stack.callback(environment.close)
        stack.enter_context(healed_at_the_end(assembly, environment))
        yield environment

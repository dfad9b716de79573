"""The backend for a system that runs already: it starts nothing and ends nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from payresil.backends.attached.borrowed_proxies import BorrowedProxies
from payresil.backends.attached.borrowed_psp import BorrowedPsp, NoPsp
from payresil.backends.attached.disabled_proxies import DisabledProxies
from payresil.backends.attached.environment import AttachedEnvironment
from payresil.backends.healing import healed_at_the_end
from payresil.backends.heartbeat import Heartbeat
from payresil.backends.links import ProxiedLinks, proxy_name
from payresil.backends.proxies import PackageProxies
from payresil.backends.psp_control import PspControl
from payresil.core.attachment import Attached
from payresil.core.protocols import (
    Assembly,
    Endpoints,
    Environment,
    EnvironmentBroke,
    Launcher,
)
from payresil.core.registry import backend
from payresil.core.topology import Topology

_DEFAULT_API_PORT = 8474


@backend
@contextmanager
def attach(assembly: Assembly, launcher: Launcher) -> Iterator[Environment]:
    """A system that runs already, as an attach file describes it; only its links can be faulted,
    and its PSP where that is the stub.

    Raises:
        EnvironmentBroke: when it is not as the file says, or when at the end a fault cannot be
            healed.
    """
    if assembly.attached is None:
        raise EnvironmentBroke("the backend attach needs --at FILE, which says where the system is")
    with ExitStack() as stack:
        environment = _environment(assembly, assembly.attached, launcher, stack)
        yield stack.enter_context(healed_at_the_end(assembly, environment))


def _environment(
    assembly: Assembly, attached: Attached, launcher: Launcher, stack: ExitStack
) -> AttachedEnvironment:
    file = attached.file
    psp: BorrowedPsp | NoPsp = NoPsp()
    heartbeat = None
    if file.psp is not None:
        url, token = file.psp.control.rstrip("/"), assembly.secrets.control_token
        control = PspControl(url, token, _owner(assembly))
        psp = BorrowedPsp(control, _prefix(assembly))
        heartbeat = Heartbeat({"psp": control.renew_lease})
        stack.callback(control.end_lease)
        stack.callback(heartbeat.close)
    return AttachedEnvironment(
        assembly.topology,
        file.capabilities,
        _endpoints(attached),
        _links(assembly, attached, launcher),
        psp,
        heartbeat,
    )


def _endpoints(attached: Attached) -> Endpoints:
    file = attached.file
    return Endpoints(
        customers=file.customers.rstrip("/"),
        ca_file=None if file.ca_file is None else Path(file.ca_file),
        admin=(file.admin or file.customers).rstrip("/"),
        books=attached.secrets.get("database_url"),
        metrics=file.metrics,
    )


def _links(assembly: Assembly, attached: Attached, launcher: Launcher) -> ProxiedLinks:
    """The links that have proxies, which a guard heals should the harness die."""
    server = attached.file.toxiproxy
    disabled = DisabledProxies(assembly.work / "disabled-proxies.json")
    if server is None:
        nowhere = BorrowedProxies(PackageProxies("127.0.0.1", 0), {}, "", disabled)
        return ProxiedLinks(Topology(assembly.topology.nodes, ()), nowhere)
    address = urlsplit(server.url)
    host, port = str(address.hostname), address.port or _DEFAULT_API_PORT
    prefix = _prefix(assembly)
    names = {proxy_name(link): name for link, name in attached.proxies.items()}
    proxies = BorrowedProxies(PackageProxies(host, port), names, prefix, disabled)
    links = ProxiedLinks(assembly.topology, proxies)
    for link in assembly.topology.links:
        links.open(link, "")
    for name, toxics in proxies.strangers().items():
        words = f"the proxy {name} has toxics of others, which stay: {', '.join(toxics)}"
        assembly.on_event("harness", "toxiproxy", "warning", error=words)
    launcher.spawn(
        "guard",
        [sys.executable, "-P", "-m", "payresil.backends.attached.guard",
         host, str(port), prefix, str(disabled.path), *names.values()],
        env=dict(os.environ),
        log=assembly.logs / "guard.log",
        end_signal=signal.SIGTERM,
    )  # fmt: skip
    return links


def _owner(assembly: Assembly) -> str:
    """What this run is called by servers that others use, too."""
    return f"payresil-{assembly.run}"


def _prefix(assembly: Assembly) -> str:
    """How names of this run begin there."""
    return f"{_owner(assembly)}-"

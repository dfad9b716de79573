"""Starts a whole topology: what takes longest first, and nothing before what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from payresil.backends.embedded.caddy import Caddy
from payresil.backends.embedded.caddy_config import Site, balancer, router
from payresil.backends.embedded.certificates import Certificates
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.own_server import OwnServer
from payresil.backends.embedded.postgres import AUDITOR, SERVICE, Postgres
from payresil.backends.embedded.stopping import stop
from payresil.backends.embedded.workshop import Workshop
from payresil.backends.links import ProxiedLinks
from payresil.backends.ports import LOOPBACK
from payresil.backends.proxies import PackageProxies
from payresil.backends.psp_control import PspControl
from payresil.core.protocols import Assembly, Endpoints, EnvironmentBroke, Launcher
from payresil.core.topology import Link, Node

#: Those who call are stopped before those they call.
_CALLERS = ("router", "lb", "service")
_CALLED = ("db", "psp")


@dataclass(frozen=True)
class Running:
    """Everything that was started, and how to reach it."""

    toxiproxy: NodeProcess
    nodes: Mapping[Node, NodeProcess]
    proxies: PackageProxies
    links: ProxiedLinks
    psp: PspControl
    endpoints: Endpoints


class Startup:
    """One start of one assembly."""

    def __init__(self, assembly: Assembly, launcher: Launcher, stack: ExitStack) -> None:
        """What was launched is stopped by `stack`, also when the start fails half-way."""
        self._assembly = assembly
        self._workshop = Workshop(assembly, launcher, stack)
        self._stack = stack
        self._nodes: dict[Node, NodeProcess] = {}
        self._databases: dict[Node, Postgres] = {}
        self._caddies: dict[Node, Caddy] = {}

    def run(self) -> Running:
        """Start everything; returns when all of it serves.

        Raises:
            EnvironmentBroke: naming the part that does not, with its last log lines.
        """
        toxiproxy, api = self._workshop.toxiproxy()
        self._stack.callback(self._stop, toxiproxy)
        toxiproxy.launch()
        tls = self._workshop.certificates()
        psp = self._launch_psp(tls)
        self._launch_databases()
        self._prepare_caddies(tls)
        toxiproxy.await_ready()
        proxies = PackageProxies(LOOPBACK, api.port("port"))
        self._links = ProxiedLinks(self._assembly.topology, proxies)
        self._await("db", "psp")
        for node, database in self._databases.items():
            database.make_roles(self._nodes[node].port)
        self._open_links("router", "lb", "db", "psp")
        self._launch("router")
        self._launch_services()
        control = self._connect_psp(psp)
        self._await("service")
        self._open_links("service")
        self._launch("lb")
        self._await("lb", "router")
        endpoints = self._endpoints(tls, psp)
        return Running(toxiproxy, self._nodes, proxies, self._links, control, endpoints)

    def _stop(self, toxiproxy: NodeProcess) -> None:
        called = [*self._made(*_CALLED).values(), toxiproxy]
        stop(self._made(*_CALLERS).values(), called)

    def _launch_psp(self, tls: Certificates) -> OwnServer:
        (node,) = self._named("psp")
        self._nodes[node], server = self._workshop.psp(node, tls)
        self._launch("psp")
        return server

    def _launch_databases(self) -> None:
        files = self._workshop.postgres_files()
        for node in self._named("db"):
            self._nodes[node], self._databases[node] = self._workshop.database(node, files)
        self._launch("db")

    def _prepare_caddies(self, tls: Certificates) -> None:
        """Not started yet, but their ports are taken, so links to them can be opened."""
        ready = self._assembly.system.service.ready
        for node in self._named("router", "lb"):

            def config(site: Site, node: Node = node) -> dict[str, Any]:
                if node.role == "router":
                    return router(site, self._upstreams(node, "lb"), tls)
                return balancer(site, self._upstreams(node, "service"), ready, tls)

            self._nodes[node], self._caddies[node] = self._workshop.caddy(node, tls, config)

    def _launch_services(self) -> None:
        for node in self._named("service"):
            (db,) = self._links_from(node, "db")
            (psp,) = self._links_from(node, "psp")
            addresses = {
                "database_url": self._databases[db.target].url(SERVICE, self._links.address(db)),
                "psp_url": f"http://{self._links.address(psp)}",
            }
            self._nodes[node] = self._workshop.service(node, addresses)
        self._launch("service")

    def _connect_psp(self, psp: OwnServer) -> PspControl:
        """Open its control plane, and have it send webhooks through its link to the router."""
        secrets, system = self._assembly.secrets, self._assembly.system
        control = PspControl(_url(psp.port("control_port")), secrets.control_token)
        if system.webhook_path is not None:
            (node,) = self._named("psp")
            (link,) = self._links_from(node, "router")
            url = f"https://{self._links.address(link)}{system.webhook_path}"
            control.send_webhooks(url, secrets.webhook_secret, system.webhook_events)
        return control

    def _endpoints(self, tls: Certificates, psp: OwnServer) -> Endpoints:
        (customers,) = (
            link for link in self._assembly.topology.links if link.source.role == "customers"
        )
        db, database = next(iter(self._databases.items()))
        service = next(iter(self._made("service").values()))
        return Endpoints(
            customers=f"https://{self._links.address(customers)}",
            ca_file=tls.ca_file,
            admin=_url(service.port),
            books=database.url(AUDITOR, f"{LOOPBACK}:{self._nodes[db].port}"),
            metrics=self._metrics(psp),
        )

    def _metrics(self, psp: OwnServer) -> dict[str, str]:
        urls = {str(node): caddy.metrics for node, caddy in self._caddies.items()}
        urls |= {
            str(node): f"{_url(psp.port('control_port'))}/metrics" for node in self._made("psp")
        }
        path = self._assembly.system.service.metrics
        if path is not None:
            services = self._made("service")
            urls |= {str(node): _url(service.port) + path for node, service in services.items()}
        return urls

    def _named(self, *roles: str) -> list[Node]:
        found = [node for node in self._assembly.topology.nodes if node.role in roles]
        if not found:
            raise EnvironmentBroke(f"the topology has no {' or '.join(roles)}")
        return found

    def _made(self, *roles: str) -> dict[Node, NodeProcess]:
        return {node: process for node, process in self._nodes.items() if node.role in roles}

    def _launch(self, *roles: str) -> None:
        for process in self._made(*roles).values():
            process.launch()

    def _await(self, *roles: str) -> None:
        for process in self._made(*roles).values():
            process.await_ready()

    def _links_from(self, source: Node, role: str) -> list[Link]:
        return [
            link
            for link in self._assembly.topology.links
            if link.source == source and link.target.role == role
        ]

    def _upstreams(self, source: Node, role: str) -> list[str]:
        return [self._links.address(link) for link in self._links_from(source, role)]

    def _open_links(self, *roles: str) -> None:
        """Open the links to nodes of these roles, whose addresses are known by now."""
        for link in self._assembly.topology.links:
            if link.target.role in roles:
                self._links.open(link, f"{LOOPBACK}:{self._nodes[link.target].port}")


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"

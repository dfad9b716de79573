"""Starts a whole topology: what takes longest first, and nothing before what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from payresil.backends.embedded.caddy_config import Site, balancer, router
from payresil.backends.embedded.certificates import Certificates
from payresil.backends.embedded.parts import Database, Measured, Part, Server, Workshop
from payresil.backends.embedded.postgres_roles import AUDITOR, SERVICE
from payresil.backends.embedded.service import filled
from payresil.backends.embedded.stopping import stop
from payresil.backends.links import ProxiedLinks
from payresil.backends.proxies import PackageProxies
from payresil.backends.psp_control import PspControl
from payresil.core.protocols import Assembly, Endpoints, EnvironmentBroke
from payresil.core.topology import Link, Node

#: Those who call are stopped before those they call.
_CALLERS = ("router", "lb", "service", "archive")


@dataclass(frozen=True)
class Running:
    """Everything that was started, and how to reach it."""

    toxiproxy: Part
    nodes: Mapping[Node, Part]
    proxies: PackageProxies
    links: ProxiedLinks
    psp: PspControl
    endpoints: Endpoints
    tls: Certificates


class Startup:
    """One start of one assembly."""

    def __init__(self, assembly: Assembly, workshop: Workshop, stack: ExitStack) -> None:
        """What was launched is stopped by `stack`, also when the start fails half-way."""
        self._assembly = assembly
        self._workshop = workshop
        self._stack = stack
        self._nodes: dict[Node, Part] = {}
        self._databases: dict[Node, Database] = {}
        self._caddies: dict[Node, Measured] = {}
        self._members = tuple(assembly.system.service.nodes)

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
        host, _, port = api.address("port").rpartition(":")
        proxies = PackageProxies(host, int(port))
        self._links = ProxiedLinks(self._assembly.topology, proxies, self._workshop.places)
        self._await("psp")
        self._open_databases()
        self._prepare_members()
        self._open_links("router", "lb", "psp", *self._members)
        self._launch("router")
        self._launch_services()
        self._complete_databases()
        control = self._connect_psp(psp)
        self._await("service", *self._members)
        self._open_links("service")
        self._launch("lb")
        self._await("lb", "router")
        endpoints = self._endpoints(tls, psp)
        return Running(toxiproxy, self._nodes, proxies, self._links, control, endpoints, tls)

    def _stop(self, toxiproxy: Part) -> None:
        called = [part for node, part in self._nodes.items() if node.role not in _CALLERS]
        stop(self._made(*_CALLERS).values(), [*called, toxiproxy])

    def _launch_psp(self, tls: Certificates) -> Server:
        (node,) = self._named("psp")
        self._nodes[node], server = self._workshop.psp(node, tls)
        self._launch("psp")
        return server

    def _launch_databases(self) -> None:
        if self._assembly.system.needs.database == "none":
            return
        for node in self._named("db"):
            self._nodes[node], self._databases[node] = self._workshop.database(node)
        self._launch("db")

    def _open_databases(self) -> None:
        """Let the service in, and open the links to them."""
        self._await("db")
        for database in self._databases.values():
            database.make_roles()
        if self._databases:  # one of the system's own project is a member, and opened as such
            self._open_links("db")

    def _complete_databases(self) -> None:
        """What databases need beside those that the service waits for; here nothing."""

    def _prepare_caddies(self, tls: Certificates) -> None:
        """Not started yet, but their ports are taken, so links to them can be opened."""
        ready = self._assembly.system.service.ready
        for node in self._named("router", "lb"):

            def config(site: Site, tls: Certificates, node: Node = node) -> dict[str, Any]:
                if node.role == "router":
                    return router(site, self._upstreams(node, "lb"), tls)
                return balancer(site, self._upstreams(node, "service"), ready, tls)

            self._nodes[node], self._caddies[node] = self._workshop.caddy(node, tls, config)

    def _prepare_members(self) -> None:
        """Started with the service, whose links to them are opened before that."""
        for node in self._assembly.topology.nodes:
            if node.role in self._members:
                self._nodes[node] = self._workshop.member(node)

    def _launch_services(self) -> None:
        for node in self._named("service"):
            self._nodes[node] = self._workshop.service(node, self._addresses(node))
        self._launch("service", *self._members)

    def _addresses(self, node: Node) -> dict[str, str]:
        """Where an instance finds what it calls."""
        (psp,) = self._links_from(node, "psp")
        addresses = {"psp_url": f"http://{self._links.address(psp)}"}
        for link in self._assembly.topology.links:
            if link.source == node and link.target in self._databases:
                database = self._databases[link.target]
                addresses["database_url"] = database.url(SERVICE, self._links.address(link))
            elif link.source == node and link.target.role in self._members:
                addresses[link.target.role] = self._links.address(link)
        return addresses

    def _connect_psp(self, psp: Server) -> PspControl:
        """Open its control plane, and have it send webhooks through its link to the router."""
        secrets, system = self._assembly.secrets, self._assembly.system
        control = PspControl(f"http://{psp.address('control_port')}", secrets.control_token)
        if system.webhook_path is not None:
            (node,) = self._named("psp")
            (link,) = self._links_from(node, "router")
            url = f"https://{self._links.address(link)}{system.webhook_path}"
            control.send_webhooks(url, secrets.webhook_secret, system.webhook_events)
        return control

    def _endpoints(self, tls: Certificates, psp: Server) -> Endpoints:
        (customers,) = (
            link for link in self._assembly.topology.links if link.source.role == "customers"
        )
        service = next(iter(self._made("service").values()))
        return Endpoints(
            customers=f"https://{self._links.address(customers)}",
            ca_file=tls.ca_file,
            admin=f"http://{service.address}",
            books=self._books(),
            metrics=self._metrics(psp),
            files=self._workshop.files,
        )

    def _books(self) -> str | None:
        for node, database in self._databases.items():
            return database.url(AUDITOR, self._nodes[node].address)
        source = self._assembly.system.books_from
        if source is None or source.database is None:
            return None
        members = {node.role: part.address for node, part in self._made(*self._members).items()}
        return filled(source.database, members, "books_from.database")

    def _metrics(self, psp: Server) -> dict[str, str]:
        urls = {str(node): caddy.metrics for node, caddy in self._caddies.items()}
        urls |= {
            str(node): f"http://{psp.address('control_port')}/metrics" for node in self._made("psp")
        }
        path = self._assembly.system.service.metrics
        if path is not None:
            services = self._made("service")
            urls |= {
                str(node): f"http://{service.address}{path}" for node, service in services.items()
            }
        return urls

    def _named(self, *roles: str) -> list[Node]:
        found = [node for node in self._assembly.topology.nodes if node.role in roles]
        if not found:
            raise EnvironmentBroke(f"the topology has no {' or '.join(roles)}")
        return found

    def _made(self, *roles: str) -> dict[Node, Part]:
        return {node: part for node, part in self._nodes.items() if node.role in roles}

    def _launch(self, *roles: str) -> None:
        for part in self._made(*roles).values():
            part.launch()

    def _await(self, *roles: str) -> None:
        for part in self._made(*roles).values():
            part.await_ready()

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
                self._links.open(link, self._upstream(link))

    def _upstream(self, link: Link) -> str:
        """Where a link leads to: ``host:port``."""
        return self._nodes[link.target].upstream

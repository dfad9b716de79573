"""Starts two regions: the databases of one clone of the other, a witness, an archive."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from payresil.backends.embedded.caddy import Caddy
from payresil.backends.embedded.caddy_config import Site, balancer, router
from payresil.backends.embedded.certificates import Certificates
from payresil.backends.embedded.postgres import Postgres
from payresil.backends.embedded.postgres_roles import OPERATOR as OPERATES
from payresil.backends.embedded.postgres_roles import SERVICE, Roles
from payresil.backends.embedded.regions.archiving import Archiving
from payresil.backends.embedded.regions.control import RegionControl, RouterControl
from payresil.backends.embedded.regions.members import ARCHIVE, OPERATOR, WITNESS, Members
from payresil.backends.embedded.replication import operating, standby
from payresil.backends.embedded.replication.questions import ask, execute
from payresil.backends.embedded.startup import Running, Startup
from payresil.backends.embedded.workshop import ProcessWorkshop
from payresil.core.protocols import Assembly, EnvironmentBroke
from payresil.core.topology import Link, Node

_ROUTER = Node(None, "router")


class RegionalStartup(Startup):
    """`Startup` of a system with two regions. Their parts are known once `run` has returned."""

    def __init__(self, assembly: Assembly, workshop: ProcessWorkshop, stack: ExitStack) -> None:
        if assembly.system.regions is None or assembly.system.lease is None:
            raise EnvironmentBroke("a system of two regions needs `regions` and a `lease`")
        super().__init__(assembly, workshop, stack)
        self._processes = workshop
        self._regions = assembly.system.regions
        self._lease = assembly.system.lease
        self._roles = Roles(replicated=True)
        self._replicas: dict[Node, Postgres] = {}
        self._control: RegionControl | None = None

    def run(self) -> Running:
        """Start everything; returns when the active region serves and the other stands by.

        Raises:
            EnvironmentBroke: naming the part that does not, with its last log lines.
        """
        running = super().run()
        self.control = self._controlled(running)
        return running

    def _launch_databases(self) -> None:
        for node in self._named("db"):
            self._nodes[node], self._replicas[node] = self._processes.replica(node, self._roles)
        self._nodes[WITNESS], self._witness = self._processes.database(WITNESS)
        self._primary = next(iter(self._replicas))
        self._nodes[self._primary].launch()
        self._nodes[WITNESS].launch()

    def _open_databases(self) -> None:
        """The first primary and the witness; services wait for the others by themselves."""
        self._open_links("db", "witness")
        for node in self._replicas:
            if node != self._primary:
                address = self._links.address(Link(node, self._primary))
                standby.stand_by(self._replicas[node], address)
        for node in (self._primary, WITNESS):
            self._nodes[node].await_ready()
        self._replicas[self._primary].make_roles()
        self._witness.make_roles()
        self.members = Members(self._replicas, self._witness, self._nodes, self._links)
        url = self.members.direct_url(WITNESS, SERVICE)
        execute(url, self._lease.schema)
        (row,) = ask(url, self._lease.take, self._regions.active)
        if not row["taken"]:
            raise EnvironmentBroke(f"the witness does not give {self._regions.active} the lease")

    def _complete_databases(self) -> None:
        """Standbys stream, backups are taken, and commits wait for whom they shall wait for."""
        for node in self._replicas:
            if node != self._primary:
                self._nodes[node].launch()
        self.archiving = Archiving(self._processes, self.members, self._roles, self._primary)
        self._nodes[ARCHIVE] = self.archiving.part
        self.archiving.begin()
        for node in self._replicas:
            self._nodes[node].await_ready()
        url = self.members.direct_url(self._primary, OPERATES)
        standbys = [str(node) for node in self._replicas if node != self._primary]
        operating.await_replayed(url, standbys)
        mode = self._assembly.system.replication
        waited_for = self.members.waited_for(self._primary, mode)
        operating.replicate(url, mode, waited_for)

    def _prepare_caddies(self, tls: Certificates) -> None:
        ready = self._assembly.system.service.ready
        for node in self._named("router", "lb"):

            def config(site: Site, tls: Certificates, node: Node = node) -> dict[str, Any]:
                if node == _ROUTER:
                    return router(site, [self._links.address(self._to_active())], tls)
                return balancer(site, self._upstreams(node, "service"), ready, tls)

            part, caddy = self._processes.caddy(node, tls, config, controlled=node == _ROUTER)
            self._nodes[node], self._caddies[node] = part, caddy
            if node == _ROUTER:
                self._router: Caddy = caddy

    def _to_active(self) -> Link:
        """From the router to the region that it sends customers to, also when it starts again."""
        region = self._regions.active if self._control is None else self._control.active
        return Link(_ROUTER, Node(region, "lb"))

    def _addresses(self, node: Node) -> dict[str, str]:
        """A database URL that names every database of the region: the primary is found."""
        addresses = super()._addresses(node)
        own = [database for database in self._replicas if database.region == node.region]
        places = ",".join(self._links.address(Link(node, database)) for database in own)
        url = self._replicas[self._primary].url(SERVICE, places)
        addresses["database_url"] = f"{url}?target_session_attrs=primary"
        address = self._links.address(Link(node, WITNESS))
        addresses["witness_url"] = self._witness.url(SERVICE, address)
        return addresses

    def _upstream(self, link: Link) -> str:
        if link == Link(OPERATOR, _ROUTER):
            return str(self._router.control)
        return super()._upstream(link)

    def _controlled(self, running: Running) -> RegionControl:
        reached = running.links.address
        router_control = RouterControl(
            str(self._router.control), lambda: reached(Link(OPERATOR, _ROUTER))
        )
        self._control = RegionControl(
            self._assembly, self.members, router_control, running.tls.client_context()
        )
        return self._control

"""Makes the containers of an assembly: each part with its image, its files and its ports."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from docker.models.containers import Container
from testcontainers.core.network import Network

from payresil.backends.containers.container_node import ContainerNode
from payresil.backends.containers.dock import Dock
from payresil.backends.containers.making import make_and_start
from payresil.backends.containers.networks import TOXIPROXY
from payresil.backends.containers.places import InNetworks
from payresil.backends.containers.project import Driven, Project
from payresil.backends.containers.prometheus import PORT as PROMETHEUS_PORT
from payresil.backends.containers.prometheus import prometheus_recipe
from payresil.backends.containers.questions import answers_200, is_healthy, takes_clients
from payresil.backends.containers.recipe import Recipe
from payresil.backends.containers.service import (
    DATA,
    compose_environment,
    service_port,
    service_recipe,
)
from payresil.backends.containers.sqlite_copy import sqlite_copies
from payresil.backends.embedded.caddy import GO_ENVIRONMENT
from payresil.backends.embedded.caddy_config import Site
from payresil.backends.embedded.certificates import Certificates, make_certificates
from payresil.backends.embedded.orders import instance_values, psp_options
from payresil.backends.embedded.parts import Configuration
from payresil.backends.embedded.postgres_files import DATABASE, OWNER
from payresil.backends.embedded.postgres_roles import AUDITOR, Roles, connections_for
from payresil.backends.ports import HeldPort
from payresil.core.protocols import Assembly, Launcher
from payresil.core.topology import Node

_API = 8474
_PSP, _PSP_CONTROL = 12111, 12112
_POSTGRES = 5432
_TLS, _CADDY_METRICS = 8443, 2019

_FILES = PurePosixPath("/etc/payresil")
_TLS_FILES = Certificates(
    Path(_FILES / "ca.pem"), Path(_FILES / "chain.pem"), Path(_FILES / "key.pem")
)
_CADDY_STORAGE = Path("/tmp/caddy")


class ContainerServer:
    """`embedded.parts.Server`: the ports that a container publishes, by their keys."""

    def __init__(self, part: ContainerNode, ports: Mapping[str, int]) -> None:
        self._part = part
        self._ports = dict(ports)

    def address(self, key: str) -> str:
        """``host:port`` at which the harness reaches one of them."""
        return self._part.published(self._ports[key])


class ContainerDatabase:
    """`embedded.parts.Database`: its roles are made with its cluster."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def make_roles(self) -> None:
        """They were made before it took its first client."""

    def url(self, role: str, address: str) -> str:
        """A database URL for `role` at ``host:port``. It holds the role's password."""
        return self._roles.url(role, address)


class ContainerCaddy:
    """`embedded.parts.Measured`: a Caddy's metrics."""

    def __init__(self, part: ContainerNode) -> None:
        self._part = part

    @property
    def metrics(self) -> str:
        """URL of its metrics."""
        return f"http://{self._part.published(_CADDY_METRICS)}/metrics"


class ContainerWorkshop:
    """`embedded.parts.Workshop` of containers; ports are given back by `stack`."""

    def __init__(
        self, assembly: Assembly, dock: Dock, launcher: Launcher, stack: ExitStack
    ) -> None:
        """Make the networks; nothing is started here. `launcher` starts Compose, if need be.

        Raises:
            EnvironmentBroke: when the engine refuses.
        """
        self.parts: dict[Node, ContainerNode] = {}
        self.places = InNetworks(assembly.topology)
        self._assembly = assembly
        self._dock = dock
        self._launcher = launcher
        self._stack = stack
        self._project: Project | None = None
        dock.networks.create(node for node in assembly.topology.nodes if node.role != "customers")

    @property
    def psp_container(self) -> Container:
        """The PSP's container, once it runs."""
        return next(part.container for node, part in self.parts.items() if node.role == "psp")

    def certificates(self) -> Certificates:
        """An authority for this run, and the certificate of its ingress."""
        names = (TOXIPROXY, self._dock.settings.address)
        return make_certificates(self._assembly.work / "tls", *names)

    def toxiproxy(self) -> tuple[ContainerNode, ContainerServer]:
        """The server that all links go through; a part of the harness and no node."""
        customers = self.places.customers_port
        part = self._made(
            TOXIPROXY,
            self._dock.networks.inner(),
            lambda: Recipe(
                self._dock.settings.toxiproxy,
                command=("--host=0.0.0.0", f"--seed={self._assembly.seed}"),
                environment={"PAYRESIL_ROLE": "toxiproxy"},  # for the own image
            ),
            ports=(_API, customers),
            ready=lambda: answers_200(f"http://{part.address}/version"),
        )
        self.places.customers_address = part.published(customers)
        return part, ContainerServer(part, {"port": _API})

    def psp(self, node: Node, tls: Certificates) -> tuple[ContainerNode, ContainerServer]:
        """The stub PSP. It trusts the run's authority when it sends webhooks."""
        ca_file = _TLS_FILES.ca_file
        part = self._node(
            node,
            lambda: Recipe(
                self._dock.settings.own,
                command=("psp", *psp_options(self._assembly, ca_file)),
                environment={"STUB_PSP_CONTROL_TOKEN": self._assembly.secrets.control_token},
                files={str(ca_file): tls.ca_file.read_bytes()},
                volumes=("/var/lib/payresil",),
            ),
            port=_PSP,
            published=_PSP_CONTROL,
            ready=lambda: answers_200(f"http://{part.address}/metrics"),
        )
        return part, ContainerServer(part, {"control_port": _PSP_CONTROL})

    def database(self, node: Node) -> tuple[ContainerNode, ContainerDatabase]:
        """A database with an empty cluster of its own."""
        roles = Roles()
        settings = {
            "max_connections": connections_for(self._assembly.system.service.instances),
            "shared_buffers": "64MB",
            "jit": "off",
            "update_process_title": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        part = self._node(
            node,
            lambda: Recipe(
                self._dock.settings.postgres,
                command=("postgres", *options),
                environment={
                    "POSTGRES_USER": OWNER,
                    "POSTGRES_PASSWORD": roles.owner_password,
                    "POSTGRES_DB": DATABASE,
                },
                files={"/docker-entrypoint-initdb.d/roles.sql": roles.statements().encode()},
                volumes=("/var/lib/postgresql",),
                stop_signal=signal.SIGINT,  # "fast": on SIGTERM it waits until its clients left
                leave_signal=signal.SIGQUIT,
            ),
            port=_POSTGRES,
            published=_POSTGRES,
            ready=lambda: takes_clients(part.address, AUDITOR, DATABASE),
        )
        return part, ContainerDatabase(roles)

    def caddy(
        self, node: Node, tls: Certificates, config: Configuration
    ) -> tuple[ContainerNode, ContainerCaddy]:
        """A router or balancer, configured when it is started first."""
        site = Site(_TLS, _CADDY_METRICS, _CADDY_STORAGE, host="")
        file = str(_FILES / "caddy.json")
        part = self._node(
            node,
            lambda: Recipe(
                self._dock.settings.caddy,
                command=("caddy", "run", "--config", file),
                environment=GO_ENVIRONMENT,
                files={file: json.dumps(config(site, _TLS_FILES)).encode(), **_content(tls)},
            ),
            port=_TLS,
            published=_CADDY_METRICS,
            ready=lambda: answers_200(f"http://{part.address}/metrics"),
        )
        return part, ContainerCaddy(part)

    def service(self, node: Node, addresses: Mapping[str, str]) -> ContainerNode:
        """An instance; `addresses` are what it reaches its database and its PSP at."""
        start, flaw = self._assembly.system.service, self._assembly.flaw
        values = {**addresses, **instance_values(self._assembly, node)}
        if start.form == "compose":
            environment = compose_environment(start, values, flaw=flaw)
            return self._driven(
                Driven(node, str(start.service), service_port(start), environment),
                lambda part: answers_200(f"http://{part.address}{start.ready}"),
            )
        recipe = service_recipe(
            start, values, flaw=flaw, own=self._dock.settings.own, work=self._assembly.work
        )
        part = self._node(
            node,
            lambda: recipe,
            port=service_port(start),
            published=service_port(start),
            ready=lambda: answers_200(f"http://{part.address}{start.ready}"),
        )
        return part

    def prometheus(self, metrics: Mapping[str, str]) -> ContainerNode:
        """One that looks at every node past the links; a part of the harness and no node.

        `metrics` is node → URL of its metrics, as the harness reaches it.
        """
        targets = {name: self.parts[Node.parse(name)].in_network(url)
                   for name, url in metrics.items()}  # fmt: skip
        alerts = self._assembly.system.alerts
        rules = None if alerts is None else Path(alerts)
        recipe = prometheus_recipe(self._dock.settings.prometheus, targets, rules)
        part = self._made(
            "prometheus",
            self._dock.networks.inner(),
            lambda: recipe,
            port=PROMETHEUS_PORT,
            ports=(PROMETHEUS_PORT,),
            ready=lambda: answers_200(f"http://{part.address}/-/ready"),
        )
        return part

    def files(self, template: str) -> list[Path]:
        """The file of every instance, copied out of its container as it is at this moment.

        There is one of those that share it, on a volume or folder that is mounted in each.
        """
        path = template.replace("{data}", DATA)
        instances = [part for node, part in self.parts.items() if node.role == "service"]
        return sqlite_copies(instances, [*self.parts.values()], path, self._assembly.work)

    def member(self, node: Node) -> ContainerNode:
        """A node that is another service of the compose project."""
        service, port = self._assembly.system.service.member(node.role)
        return self._driven(Driven(node, service, port), lambda part: is_healthy(part.container))

    def _driven(self, driven: Driven, ready: Callable[[ContainerNode], bool]) -> ContainerNode:
        """A node that Compose makes."""
        project = self._the_project()
        published = self._held((driven.port,))
        project.drive(driven, published[driven.port].number)
        part = ContainerNode(
            str(driven.node),
            lambda: project.made(driven.node),
            dock=self._dock,
            port=driven.port,
            published=published,
            ready=lambda: ready(part),
        )
        self.parts[driven.node] = part
        return part

    def _the_project(self) -> Project:
        if self._project is None:
            self._project = Project(self._assembly, self._dock, self._launcher)
            # Before nodes are asked to leave: they would wait until Compose has started them.
            self._stack.callback(self._project.close)
        return self._project

    def _node(
        self,
        node: Node,
        recipe: Callable[[], Recipe],
        *,
        port: int,
        published: int,
        ready: Callable[[], bool],
    ) -> ContainerNode:
        networks = (self._dock.networks.of(node),)
        made = self._made(str(node), networks, recipe, ports=(published,), ready=ready, port=port)
        self.parts[node] = made
        return made

    def _made(
        self,
        name: str,
        networks: tuple[Network, ...],
        recipe: Callable[[], Recipe],
        *,
        ports: tuple[int, ...],
        ready: Callable[[], bool],
        port: int = 0,
    ) -> ContainerNode:
        published = self._held(ports)

        def make() -> tuple[Container, Recipe]:
            known = recipe()
            numbers = {inside: held.number for inside, held in published.items()}
            made = make_and_start(name, known, self._dock, networks=networks, ports=numbers)
            return made, known

        return ContainerNode(
            name, make, dock=self._dock, port=port, published=published, ready=ready
        )

    def _held(self, ports: tuple[int, ...]) -> dict[int, HeldPort]:
        published = {inside: HeldPort() for inside in ports}
        for held in published.values():
            self._stack.callback(held.release)
        return published


def _content(tls: Certificates) -> dict[str, bytes]:
    """The files of the certificates, where the container has them."""
    pairs = (
        (_TLS_FILES.ca_file, tls.ca_file),
        (_TLS_FILES.chain_file, tls.chain_file),
        (_TLS_FILES.key_file, tls.key_file),
    )
    return {str(inside): here.read_bytes() for inside, here in pairs}

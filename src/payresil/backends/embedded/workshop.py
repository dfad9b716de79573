"""Makes the node processes of an assembly: each part with its folder, its ports and its secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from payresil.backends.embedded.cache import Cache, cache_folder
from payresil.backends.embedded.caddy import Caddy
from payresil.backends.embedded.certificates import Certificates, make_certificates
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.orders import instance_values, psp_options
from payresil.backends.embedded.own_server import OwnServer
from payresil.backends.embedded.parts import Configuration
from payresil.backends.embedded.postgres import Postgres
from payresil.backends.embedded.postgres_files import PostgresFiles
from payresil.backends.embedded.postgres_roles import Roles
from payresil.backends.embedded.program import Program
from payresil.backends.embedded.replication.archive import Archive
from payresil.backends.embedded.replication.membership import Membership
from payresil.backends.embedded.service import Service
from payresil.backends.links import OnLoopback
from payresil.backends.ports import HeldPort
from payresil.core.protocols import Assembly, EnvironmentBroke, Launcher
from payresil.core.topology import Node


def file_name(name: object) -> str:
    """The name of a node as the name of a file or folder."""
    return str(name).replace("/", ".")


class ProcessWorkshop:
    """`embedded.parts.Workshop` of processes.

    Everything is made below ``assembly.work``; ports are given back by `stack`.
    """

    def __init__(self, assembly: Assembly, launcher: Launcher, stack: ExitStack) -> None:
        """Nothing is started here."""
        self._assembly = assembly
        self._launcher = launcher
        self._stack = stack
        self._work = assembly.work
        self._ready_files = self._made("ready")
        self.places = OnLoopback()

    def certificates(self) -> Certificates:
        """An authority for this run, and the certificate of its ingress."""
        return make_certificates(self._work / "tls")

    def toxiproxy(self) -> tuple[NodeProcess, OwnServer]:
        """The server that all links go through; a part of the harness and no node."""
        file = self._ready_file("toxiproxy")
        server = OwnServer("payresil.toxiproxy", file, "--seed", str(self._assembly.seed))
        return self._process("toxiproxy", server.program), server

    def psp(self, node: Node, tls: Certificates) -> tuple[NodeProcess, OwnServer]:
        """The stub PSP. It trusts the run's authority when it sends webhooks."""
        server = OwnServer(
            "stub_psp",
            self._ready_file(node),
            *("--data", str(self._made(file_name(node)))),
            *psp_options(self._assembly, tls.ca_file),
            env={"STUB_PSP_CONTROL_TOKEN": self._assembly.secrets.control_token},
            ports=("port", "control_port"),
        )
        return self._process(node, server.program), server

    def database(self, node: Node) -> tuple[NodeProcess, Postgres]:
        """A database with an empty cluster of its own."""
        database = Postgres(
            self._work / file_name(node),
            self._postgres_files,
            self._launcher,
            self._log(node),
            instances=self._assembly.system.service.instances,
        )
        port = HeldPort()
        self._stack.callback(port.release)
        return self._process(node, database.program, port.number), database

    def replica(
        self, node: Node, roles: Roles, *, empty: bool = False
    ) -> tuple[NodeProcess, Postgres]:
        """One of several databases that replicate each other and share their `roles`.

        `empty`: to be filled before it is started.
        """
        services = [each for each in self._assembly.topology.nodes if each.role == "service"]
        database = Postgres(
            self._work / file_name(node),
            self._postgres_files,
            self._launcher,
            self._log(node),
            instances=len(services),
            membership=Membership(str(node), roles, empty),
        )
        port = HeldPort()
        self._stack.callback(port.release)
        return self._process(node, database.program, port.number), database

    def archive(self, node: Node, roles: Roles, source: str) -> tuple[NodeProcess, Archive]:
        """What keeps backups of databases with these `roles`; `source` is ``host:port`` of one."""
        archive = Archive(
            self._work / file_name(node),
            self._postgres_files,
            self._launcher,
            self._log(node),
            name=str(node),
            roles=roles,
            source=source,
        )
        return self._process(node, archive.program), archive

    def caddy(
        self, node: Node, tls: Certificates, config: Configuration, *, controlled: bool = False
    ) -> tuple[NodeProcess, Caddy]:
        """A router or balancer, configured when it is started, and later where `controlled`."""
        caddy = Caddy(
            self._work / file_name(node),
            tls,
            lambda site: config(site, tls),
            controlled=controlled,
        )
        self._stack.callback(caddy.release)
        return self._process(node, caddy.program, caddy.port.number), caddy

    def service(self, node: Node, addresses: Mapping[str, str]) -> NodeProcess:
        """An instance; `addresses` are ``psp_url`` and, where it needs a database,
        ``database_url``, through its links.
        """
        values = {
            **addresses,
            **instance_values(self._assembly, node),
            "data": str(self._data(node)),
        }
        start, flaw = self._assembly.system.service, self._assembly.flaw
        service = Service(start, values, self._ready_file(node), flaw=flaw)
        return self._process(node, service.program)

    def files(self, template: str) -> list[Path]:
        """The file of every instance where it is; one where all share it."""
        if "{data}" not in template:
            return [Path(template)]
        instances = (node for node in self._assembly.topology.nodes if node.role == "service")
        return [Path(template.replace("{data}", str(self._data(node)))) for node in instances]

    def member(self, node: Node) -> NodeProcess:
        """Refused.

        Raises:
            EnvironmentBroke: always.
        """
        raise EnvironmentBroke(f"{node} is of a compose project, which the backend docker starts")

    def _data(self, node: Node) -> Path:
        """The folder that an instance keeps, however often it is started."""
        folder = self._work / f"{file_name(node)}.data"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @cached_property
    def _postgres_files(self) -> PostgresFiles:
        """PostgreSQL's programs; kept in the work folder where there is no cache."""
        return PostgresFiles(Cache(cache_folder(), self._work / "cache"))

    def _process(
        self, name: Node | str, program: Callable[[int], Program], port: int = 0
    ) -> NodeProcess:
        return NodeProcess(
            str(name),
            program,
            launcher=self._launcher,
            log=self._log(name),
            report=self._assembly.on_event,
            port=port,
        )

    def _log(self, name: Node | str) -> Path:
        return self._assembly.logs / f"{file_name(name)}.log"

    def _ready_file(self, name: Node | str) -> Path:
        return self._ready_files / f"{file_name(name)}.json"

    def _made(self, name: str) -> Path:
        folder = self._work / name
        folder.mkdir(mode=0o700)
        return folder

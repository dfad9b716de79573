"""Makes the node processes of an assembly: each part with its folder, its ports and its secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from payresil.backends.embedded.cache import Cache, cache_folder
from payresil.backends.embedded.caddy import Caddy
from payresil.backends.embedded.caddy_config import Site
from payresil.backends.embedded.certificates import Certificates, make_certificates
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.own_server import OwnServer
from payresil.backends.embedded.postgres import Postgres
from payresil.backends.embedded.postgres_files import PostgresFiles
from payresil.backends.embedded.program import Program
from payresil.backends.embedded.service import Service
from payresil.backends.ports import HeldPort
from payresil.core.protocols import Assembly, Launcher
from payresil.core.topology import Node

#: The PSP tries a webhook again after these seconds. A run is short: the last one repeats.
_WEBHOOK_DELAYS_S = "0.2,0.5,1,2"


def file_name(name: object) -> str:
    """The name of a node as the name of a file or folder."""
    return str(name).replace("/", ".")


class Workshop:
    """Everything is made below ``assembly.work``; ports are given back by `stack`."""

    def __init__(self, assembly: Assembly, launcher: Launcher, stack: ExitStack) -> None:
        """Nothing is started here."""
        self._assembly = assembly
        self._launcher = launcher
        self._stack = stack
        self._work = assembly.work
        self._ready_files = self._made("ready")

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
            *("--data", str(self._made(file_name(node))), "--seed", str(self._assembly.seed)),
            *("--reference-field", self._assembly.system.reference_field),
            f"--reference-prefix={self._assembly.run}-",
            *("--webhook-ca", str(tls.ca_file), "--webhook-delays", _WEBHOOK_DELAYS_S),
            env={"STUB_PSP_CONTROL_TOKEN": self._assembly.secrets.control_token},
            ports=("port", "control_port"),
        )
        return self._process(node, server.program), server

    def postgres_files(self) -> PostgresFiles:
        """PostgreSQL's programs; kept in the work folder where there is no cache."""
        return PostgresFiles(Cache(cache_folder(), self._work / "cache"))

    def database(self, node: Node, files: PostgresFiles) -> tuple[NodeProcess, Postgres]:
        """A database with an empty cluster of its own."""
        database = Postgres(
            self._work / file_name(node),
            files,
            self._launcher,
            self._log(node),
            instances=self._assembly.system.service.instances,
        )
        port = HeldPort()
        self._stack.callback(port.release)
        return self._process(node, database.program, port.number), database

    def caddy(
        self, node: Node, tls: Certificates, config: Callable[[Site], dict[str, Any]]
    ) -> tuple[NodeProcess, Caddy]:
        """A router or balancer, configured when it is started."""
        caddy = Caddy(self._work / file_name(node), tls, config)
        self._stack.callback(caddy.release)
        return self._process(node, caddy.program, caddy.port.number), caddy

    def service(self, node: Node, addresses: Mapping[str, str]) -> NodeProcess:
        """An instance; `addresses` are ``database_url`` and ``psp_url``, through its links."""
        secrets = self._assembly.secrets
        values = {
            **addresses,
            "psp_api_key": secrets.psp_api_key,
            "webhook_secret": secrets.webhook_secret,
            "api_token": secrets.api_token,
            "admin_token": secrets.admin_token,
            "node": str(node),
            "region": node.region or "",
        }
        start, flaw = self._assembly.system.service, self._assembly.flaw
        service = Service(start, values, self._ready_file(node), flaw=flaw)
        return self._process(node, service.program)

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

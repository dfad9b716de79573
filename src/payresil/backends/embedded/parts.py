"""What the start of a system needs of its parts, be they processes or containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from payresil.backends.embedded.caddy_config import Site
from payresil.backends.embedded.certificates import Certificates
from payresil.backends.links import Places
from payresil.core.topology import Node


class Part(Protocol):
    """One part of a system: started, watched, paused, killed, and started again where it was."""

    name: str

    @property
    def address(self) -> str:
        """``host:port`` at which the harness reaches it, past every link."""
        ...

    @property
    def upstream(self) -> str:
        """``host:port`` at which the links to it reach it."""
        ...

    def launch(self) -> None:
        """Start it without waiting until it serves."""
        ...

    def await_ready(self) -> None:
        """Wait until it serves; raises `EnvironmentBroke` when it ended or took too long."""
        ...

    def kill(self) -> None:
        """End it at once, as a crash would; returns when all of it is gone."""
        ...

    def stop(self) -> None:
        """End it in order, as a deployment does; returns when it has ended."""
        ...

    def pause(self) -> None:
        """Stop all of it in its tracks."""
        ...

    def resume(self) -> None:
        """Let it go on."""
        ...

    def ask_to_leave(self) -> None:
        """Ask for an orderly end after which it is not started again, if it runs."""
        ...

    def await_leave(self, deadline_s: float) -> None:
        """Wait until `deadline_s` (monotonic) for it to end, then kill it."""
        ...

    def check(self) -> None:
        """Raise `EnvironmentBroke` when it ended and nobody told it to."""
        ...


class Server(Protocol):
    """A part of the harness's own that serves on several ports."""

    def address(self, key: str) -> str:
        """``host:port`` at which the harness reaches one of them: ``port``, ``control_port``."""
        ...


class Database(Protocol):
    """A database, and who may use it."""

    def make_roles(self) -> None:
        """Let the service and the auditor in. It must be running."""
        ...

    def url(self, role: str, address: str) -> str:
        """A database URL for `role` at ``host:port``. It holds the role's password."""
        ...


class Measured(Protocol):
    """A part with metrics of its own."""

    @property
    def metrics(self) -> str:
        """URL of its metrics."""
        ...


#: A Caddy's configuration, once it is known where it keeps its files and certificates.
Configuration = Callable[[Site, Certificates], dict[str, Any]]


class Workshop(Protocol):
    """Makes the parts of an assembly. Nothing is started here."""

    @property
    def places(self) -> Places:
        """Where the proxies of links are."""
        ...

    def certificates(self) -> Certificates:
        """An authority for this run, and the certificate of its ingress; files of the harness."""
        ...

    def toxiproxy(self) -> tuple[Part, Server]:
        """The server that all links go through; a part of the harness and no node."""
        ...

    def psp(self, node: Node, tls: Certificates) -> tuple[Part, Server]:
        """The stub PSP. It trusts the run's authority when it sends webhooks."""
        ...

    def database(self, node: Node) -> tuple[Part, Database]:
        """A database with an empty cluster of its own."""
        ...

    def caddy(self, node: Node, tls: Certificates, config: Configuration) -> tuple[Part, Measured]:
        """A router or balancer, configured when it is started."""
        ...

    def service(self, node: Node, addresses: Mapping[str, str]) -> Part:
        """An instance; `addresses` are ``psp_url`` and, where it needs a database,
        ``database_url``, through its links.
        """
        ...

    def member(self, node: Node) -> Part:
        """A node that the system file brings along: another service of its compose project.

        Raises:
            EnvironmentBroke: where no compose project can be started.
        """
        ...

    def files(self, template: str) -> Sequence[Path]:
        """A SQLite file of every instance, to be read: `core.protocols.Files`."""
        ...

"""An environment of every backend, around the smallest service there is."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import ssl
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from payresil.backends.launcher import Supervisor
from payresil.core.protocols import Assembly, Environment, Secrets
from payresil.core.registry import backends
from payresil.core.system import Api, ServiceStart, System
from payresil.core.topology import Link, Node, Topology

from . import containers

#: Those that every machine has, and those that need more.
BACKENDS = ("process", pytest.param("docker", marks=pytest.mark.docker))

PATIENCE_S = 20.0
TINY = Path(__file__).parent / "tiny_service.py"

SYSTEM = System(
    name="tiny",
    service=ServiceStart(
        command=("{python}", "-S", str(TINY), "{host}", "{port}", "{ready_file}"),
        environment={
            "DATABASE_URL": "{database_url}",
            "PSP_URL": "{psp_url}",
            "PSP_API_KEY": "{psp_api_key}",
            "NODE": "{node}",
        },
        ready="/readyz",
        metrics="/metrics",
        flaw_variable="TINY_FLAW",
    ),
    api=Api(operations={}),
    reference_field="merchant_reference",
    webhook_path="/webhooks/psp",
)

_NODES = ("customers", "router", "a/lb", "a/service.1", "a/service.2", "a/db", "psp")
_LINKS = (
    "customers->router",
    "router->a/lb",
    "a/lb->a/service.1",
    "a/lb->a/service.2",
    "a/service.1->a/db",
    "a/service.2->a/db",
    "a/service.1->psp",
    "a/service.2->psp",
    "psp->router",
)
TOPOLOGY = Topology(tuple(map(Node.parse, _NODES)), tuple(map(Link.parse, _LINKS)))

SECRETS = Secrets(
    api_token="contract-api-token",
    admin_token="contract-admin-token",
    psp_api_key="sk_test_contract",
    webhook_secret="whsec_contract",
    control_token="contract-control-token",
    card_numbers=("4242424242424242",),
    card_cvc="123",
)


@dataclass
class Up:
    """An environment that runs, and what it has said so far."""

    backend: str
    environment: Environment
    assembly: Assembly
    events: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)

    def ask(self, path: str, method: str = "GET", timeout_s: float = 3.0) -> tuple[str, str]:
        """As a customer on a fresh connection: what came back, and which instance said it.

        An error status or no answer at all reads as its number or its name.
        """
        endpoints = self.environment.endpoints
        url = urllib.parse.urlsplit(endpoints.customers)
        connection = http.client.HTTPSConnection(
            str(url.hostname),
            url.port,
            context=ssl.create_default_context(cafile=str(endpoints.ca_file)),
            timeout=timeout_s,
        )
        try:
            connection.request(method, path, body="{}" if method == "POST" else None)
            answer = connection.getresponse()
            text = answer.read().decode().strip()
            instance = answer.headers.get("X-Instance", "")
            return (text if answer.status == 200 else str(answer.status)), instance
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__, ""
        finally:
            connection.close()

    @property
    def published(self) -> bool:
        """Whether customers come in by a published port, whose proxy takes every connection."""
        return self.backend == "docker"

    def murder(self, name: str) -> None:
        """End a part behind the backend's back."""
        *_, detail = (
            detail for kind, of, what, detail in self.events if (of, what) == (name, "started")
        )
        if self.backend == "docker":
            containers.kill(detail["container"])
        else:
            os.kill(detail["pid"], signal.SIGSEGV)

    def pids(self) -> dict[str, int]:
        """The process of every node, as last reported."""
        return {
            name: detail["pid"]
            for kind, name, what, detail in list(self.events)
            if kind == "node" and what == "started"
        }


def system_for(backend: str) -> System:
    """The tiny service, as a backend can start it."""
    if backend != "docker":
        return SYSTEM
    image = containers.image_of(TINY)
    command = ("{python}", "-S", f"/{TINY.name}", "{host}", "{port}", "{ready_file}")
    return replace(SYSTEM, service=replace(SYSTEM.service, image=image, command=command))


@contextlib.contextmanager
def brought_up(
    backend: str,
    system: System | None = None,
    flaw: str | None = None,
    *,
    asks_prometheus: bool = False,
) -> Iterator[Up]:
    """Bring `system` up in a fresh environment, and take it down again."""
    system = system or system_for(backend)
    folder = Path(tempfile.mkdtemp(prefix="payresil-test-"))
    folder.chmod(0o711)
    work, logs = folder / "work", folder / "logs"
    work.mkdir(mode=0o711)
    logs.mkdir()
    events: list[tuple[str, str, str, dict[str, Any]]] = []

    def on_event(kind: str, name: str, what: str, **detail: Any) -> None:
        events.append((kind, name, what, detail))

    assembly = Assembly(
        run="contract",
        system=system,
        topology=TOPOLOGY,
        secrets=SECRETS,
        seed=7,
        flaw=flaw,
        work=work,
        logs=logs,
        on_event=on_event,
        asks_prometheus=asks_prometheus,
    )
    try:
        with (
            Supervisor.started() as launcher,
            backends.get(backend).call(assembly, launcher) as environment,
        ):
            yield Up(backend, environment, assembly, events)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest) -> Iterator[Up]:
    """One environment for the tests of a module."""
    with brought_up(request.param) as up:
        yield up


@pytest.fixture
def up(shared: Up) -> Iterator[Up]:
    """The shared environment, whole before and after."""
    shared.environment.check()
    yield shared
    shared.environment.heal()


@pytest.fixture(scope="session")
def bring_up() -> Callable[..., contextlib.AbstractContextManager[Up]]:
    """Brings up an environment of a backend by name."""
    return brought_up


@pytest.fixture(params=BACKENDS)
def fresh(request: pytest.FixtureRequest) -> Callable[..., contextlib.AbstractContextManager[Up]]:
    """Brings up an environment of a test's own."""

    def bring_up(**options: Any) -> contextlib.AbstractContextManager[Up]:
        return brought_up(request.param, **options)

    return bring_up


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds that no event tells of."""

    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.02)

    return wait


@pytest.fixture
def system(request: pytest.FixtureRequest) -> System:
    """The service that the environments of the test's backend are around."""
    return system_for(request.node.callspec.params["fresh"])

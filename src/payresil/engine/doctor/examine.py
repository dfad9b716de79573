"""Starts or joins a system and tries every mapping of its file."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from payresil.backends.launcher import Supervisor
from payresil.core.attachment import Attached
from payresil.core.document import read_document
from payresil.core.mapping import MappingError
from payresil.core.problems import InvalidScenario, Problem
from payresil.core.protocols import Assembly, Environment, EnvironmentBroke
from payresil.core.registry import backends
from payresil.core.system import System
from payresil.engine.attached_rules import attached_topology
from payresil.engine.doctor import signals
from payresil.engine.doctor.behind import behind
from payresil.engine.doctor.caller import Caller, OutOfRequests
from payresil.engine.doctor.keeping import keeping
from payresil.engine.doctor.later import following
from payresil.engine.doctor.payments import Visit, paying
from payresil.engine.doctor.seen import Findings, Seen
from payresil.engine.places import Places
from payresil.engine.service_calls import ServiceCalls
from payresil.engine.sown import sow
from payresil.engine.topologies import topology_of


def examine(
    file: Path, system: System, backend: str, attached: Attached | None = None
) -> Iterator[Seen]:
    """What there is to say of every mapping of a system file, one after another.

    Raises:
        InvalidScenario: when the file cannot be read any more.
        EnvironmentBroke: when the system cannot be started or reached.
    """
    problems: list[Problem] = []
    document = read_document(file, problems)
    if document is None:
        raise InvalidScenario(problems)
    at = Places(document)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="payresil-")))
        work.chmod(0o711)
        assembly = _assembly(system, attached, work)
        launcher = stack.enter_context(Supervisor.started())
        start = backends.get(backend).call
        try:
            environment: Environment = stack.enter_context(start(assembly, launcher))
        except EnvironmentBroke as error:
            raise EnvironmentBroke(_not_started(system, at, str(error))) from error
        yield Seen("start", "good", f"{system.name} serves, by the backend {backend}")
        yield from _everything(assembly, environment, at)


def _not_started(system: System, at: Places, error: str) -> str:
    where, hint = at("service"), ""
    if "did not serve" in error and "service" in error:
        where = at("service", "ready")
        hint = f"\n(it serves when GET {system.service.ready} answers 200 on the port it was given)"
    return f"{where}: the system does not start: {error}{hint}"


def _assembly(system: System, attached: Attached | None, work: Path) -> Assembly:
    logs, folder = work / "logs", work / "work"
    logs.mkdir()
    folder.mkdir(mode=0o711)
    given: dict[str, Any] = {} if attached is None else dict(attached.secrets)
    given.pop("database_url", None)
    return Assembly(
        run=secrets.token_hex(4),
        system=system,
        topology=attached_topology(attached.file) if attached else topology_of(system),
        secrets=replace(sow(), **given),
        seed=0,
        flaw=None,
        work=folder,
        logs=logs,
        on_event=lambda *_, **__: None,
        attached=attached,
    )


def _everything(assembly: Assembly, environment: Environment, at: Places) -> Findings:
    system, endpoints, attached = assembly.system, environment.endpoints, assembly.attached
    budget = None if attached is None else attached.file.budget.requests
    caller = Caller(system, endpoints, assembly.secrets, budget)
    visit = Visit(assembly.run, system, assembly.topology, at, caller)
    calls = ServiceCalls(endpoints.admin, assembly.secrets, endpoints.ca_file)
    yield _transport(endpoints.customers, attached)
    try:
        yield from paying(visit)
        if visit.payment is not None:
            parts: tuple[Callable[[], Findings], ...] = (
                lambda: following(visit),
                lambda: behind(visit, environment),
                lambda: keeping(visit, endpoints, calls, environment.psp),
            )
            for part in parts:
                yield from part()
    except MappingError as error:
        yield Seen("api", "wrong", str(error), at("api", "operations"))
    except OutOfRequests:
        yield Seen("budget", "doubtful", "the budget is spent before everything was tried")
    yield from signals.metrics(visit, endpoints.metrics)
    if attached is None:
        yield from signals.logs(visit, assembly.logs)
    elif visit.created:
        words = f"left in the system: {', '.join(visit.created)}"
        yield Seen("created", "doubtful", words)


def _transport(customers: str, attached: Attached | None) -> Seen:
    if customers.startswith("https:"):
        return Seen("address", "good", "customers come over TLS, and the certificate is checked")
    if attached is None:
        return Seen("address", "good", "customers come over HTTP")
    return Seen("address", "doubtful", "customers come without TLS: over HTTP")

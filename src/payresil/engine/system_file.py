"""System files: how to start, pay and audit a system, read as strictly as scenarios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import payresil.systems
from payresil.core.document import MapNode, read_document
from payresil.core.problems import InvalidScenario, Place, Problem, nearest, shown
from payresil.core.schema import fields_of, read_fields
from payresil.core.system import System
from payresil.core.topology import Link, Topology
from payresil.core.topology import Node as TopologyNode
from payresil.engine.compose_file import ComposeFileError, not_apart
from payresil.engine.places import Places
from payresil.engine.system_rules import check_system

_LIST_TIMEOUT_S = 20.0

#: Forms of a start that a backend cannot make use of.
_CANNOT_START = {"process": ("image", "compose")}


def system_names() -> list[str]:
    """The systems that payresil brings along."""
    folders = [Path(folder) for folder in payresil.systems.__path__]
    return sorted(file.stem for folder in folders for file in folder.glob("*.yaml"))


def system_path(name: str, *, beside: Path | None = None) -> Path | None:
    """The file of a system, None when there is none.

    `name` is one that payresil brings along, or the path of a ``.yaml`` file, which may be
    relative to the folder `beside`.
    """
    if name.endswith((".yaml", ".yml")):
        path = (beside or Path()) / name
        return path if path.is_file() else None
    if name not in system_names():
        return None
    folders = [Path(folder) for folder in payresil.systems.__path__]
    return next(path for folder in folders if (path := folder / f"{name}.yaml").is_file())


def no_system(name: str, where: Place) -> Problem:
    """The problem that there is no such system."""
    known = system_names()
    words = f"a system ({', '.join(known)}) or the path of a .yaml file that describes one"
    return Problem(where, shown(name), words, nearest(name, known))


def load_system(name: str | Path) -> System:
    """A system by its name or by the path of its file.

    Raises:
        InvalidScenario: with every problem of the file, each with its place.
    """
    path = system_path(str(name))
    if path is None:
        raise InvalidScenario([no_system(str(name), Place("system"))])
    problems: list[Problem] = []
    document = read_document(path, problems)
    system = None if document is None else _read(document, problems)
    if problems or system is None:
        raise InvalidScenario(problems)
    return system


def check_start(name: str, system: System, backend: str) -> None:
    """Whether a backend can start the system in the way its file says.

    Raises:
        InvalidScenario: with the place in the file where it cannot, or in its compose file.
    """
    form = system.service.form
    if form not in _CANNOT_START.get(backend, ()):
        if form == "compose" and backend != "attach":
            _check_project(name, system)
        return
    problems: list[Problem] = []
    path = system_path(name)
    document = None if path is None else read_document(path, problems)
    if document is not None:
        words = "a command, or the option --backend docker"
        where = Places(document).key("service", form)
        problems.append(Problem(where, f"{form}, which the backend {backend} cannot start", words))
    raise InvalidScenario(problems)


def _check_project(name: str, system: System) -> None:
    try:
        problems = list(not_apart(system.service))
    except ComposeFileError as error:  # it was one when the system file was read
        problems = [Problem(Place(name), str(error), "a compose file")]
    if problems:
        raise InvalidScenario(problems)


def _read(document: MapNode, problems: list[Problem]) -> System | None:
    values = read_fields(document, fields_of(System), problems)
    if values is None:
        return None
    system = System(**values)
    problems.extend(check_system(system, document))
    return _located(system, Path(document.where.file).resolve().parent)


def _located(system: System, beside: Path) -> System:
    """The system with its paths, which its file gives relative to itself, made absolute."""
    service = system.service
    paths: dict[str, Any] = {
        name: str(beside / path)
        for name, path in (("folder", service.folder), ("compose", service.compose))
        if path is not None
    }
    alerts = None if system.alerts is None else str(beside / system.alerts)
    return replace(system, service=replace(service, **paths), alerts=alerts)


def list_flaws(system: System) -> dict[str, str]:
    """The known flaws that the system can be started with: name → what it does wrong.

    Runs the command that the system file gives for it, where it does not list them itself.

    Raises:
        InvalidScenario: when the command fails or prints something else.
    """
    if not system.service.list_flaws:
        return {name: flaw.does for name, flaw in system.service.flaws.items()}
    command = [part.replace("{python}", sys.executable) for part in system.service.list_flaws]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_LIST_TIMEOUT_S, check=True, env=os.environ
        )
        flaws = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        raise _no_flaws(command, _last_line(error.stderr)) from error
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise _no_flaws(command, str(error)) from error
    if not isinstance(flaws, dict):
        raise _no_flaws(command, "it printed something else")
    return {str(name): str(words) for name, words in flaws.items()}


def _no_flaws(command: Sequence[str], reason: str) -> InvalidScenario:
    words = "a JSON object of flaws and what they do on its standard output"
    return InvalidScenario([Problem(Place(" ".join(command)), f"no flaws ({reason})", words)])


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it failed without a word"


def missing_steps(system: System) -> tuple[str, ...]:
    """What a run cannot do with this system after the last customer, in words for its report."""
    words = []
    if system.settle is None:
        words.append(
            f"{system.name} does not say when it is settled: the harness waits until the PSP has "
            "nothing pending, for a while, and takes that for settled"
        )
    if system.reconcile is None:
        words.append(
            f"{system.name} has no reconciliation of its own: the harness only compares the books"
        )
    return tuple(words)


def default_topology(system: System) -> Topology:
    """One region: customers → router → balancer → service instances → database and PSP.

    The PSP sends its webhooks through the router, as the customers do. A system that needs no
    database has no node for one; what its compose project has of its own is a node where the system
    file names it under ``service.nodes``.
    """
    has_database = system.needs.database != "none"
    numbers = range(1, system.service.instances + 1)
    services = [f"a/service.{n}" for n in numbers]
    called = [*(["a/db"] if has_database else []), *(f"a/{role}" for role in system.service.nodes)]
    nodes = ["customers", "router", "a/lb", *services, *called, "psp"]
    links = ["customers->router", "router->a/lb", "psp->router"]
    for service in services:
        links += [f"a/lb->{service}", f"{service}->psp", *(f"{service}->{node}" for node in called)]
    return Topology(
        tuple(TopologyNode.parse(name) for name in nodes),
        tuple(Link.parse(name) for name in links),
    )

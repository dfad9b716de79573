"""System files: how to start, pay and audit a system, read as strictly as scenarios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import payresil.systems
from payresil.core.document import MapNode, Refused, Scalar, describe, read_document
from payresil.core.problems import InvalidScenario, Place, Problem, nearest, shown
from payresil.core.schema import fields_of, read_fields
from payresil.core.system import System
from payresil.engine.compose_file import ComposeFileError, not_apart
from payresil.engine.layering import alone, base_of, layered
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
    document = _document(path, problems)
    system = None if document is None else _read(document, problems)
    if problems or system is None:
        raise InvalidScenario(problems)
    return system


def _document(path: Path, problems: list[Problem], above: tuple[Path, ...] = ()) -> MapNode | None:
    """The file as a whole, with what it is based on underneath."""
    document = read_document(path, problems)
    named = None if document is None else base_of(document)
    if document is None or named is None:
        return document
    if not isinstance(named, Scalar):
        words = "a system, or the path of a .yaml file that describes one"
        if not isinstance(named, Refused):  # of which the reader has told
            problems.append(Problem(named.where, describe(named), words))
        return alone(document)
    base = system_path(named.text, beside=path.parent)
    if base is None:
        problems.append(no_system(named.text, named.where))
        return alone(document)
    if base.resolve() in (*above, path.resolve()):
        problems.append(Problem(named.where, shown(named.text), "a file that is not based on this"))
        return alone(document)
    under = _document(base, problems, (*above, path.resolve()))
    own = alone(document)
    return own if under is None else layered(under, own)


def check_start(name: str, system: System, backend: str) -> None:
    """Whether a backend can start the system in the way its file says.

    Raises:
        InvalidScenario: with the place in the file where it cannot, or in its compose file.
    """
    if system.regions is not None and backend != "process":
        raise InvalidScenario(_cannot_start(name, backend))
    form = system.service.form
    if form not in _CANNOT_START.get(backend, ()):
        if form == "compose" and backend != "attach":
            _check_project(name, system)
        return
    problems: list[Problem] = []
    path = system_path(name)
    document = None if path is None else _document(path, problems)
    if document is not None:
        words = "a command, or the option --backend docker"
        where = Places(document).key("service", form)
        problems.append(Problem(where, f"{form}, which the backend {backend} cannot start", words))
    raise InvalidScenario(problems)


def _cannot_start(name: str, backend: str) -> Iterator[Problem]:
    """Two regions are processes: the other backends have no third place, and no operator."""
    path = system_path(name)
    document = None if path is None else _document(path, [])
    where = Place(name) if document is None else Places(document).key("regions")
    read = f"two regions, which the backend {backend} cannot start"
    yield Problem(where, read, "the option --backend process, or a system of one region")


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
    return _located(system, Places(document))


def _located(system: System, at: Places) -> System:
    """The system with its paths, each relative to the file that gives it, made absolute."""
    service = system.service

    def absolute(path: str, *keys: str) -> str:
        return str(Path(at(*keys).file).resolve().parent / path)

    paths: dict[str, Any] = {
        name: absolute(path, "service", name)
        for name, path in (("folder", service.folder), ("compose", service.compose))
        if path is not None
    }
    alerts = None if system.alerts is None else absolute(system.alerts, "alerts")
    return replace(system, service=replace(service, **paths), alerts=alerts)


def list_flaws(system: System) -> dict[str, str]:
    """The known flaws that the system can be started with: name → what it does wrong.

    Runs the command that the system file gives for it, where it does not list them itself.

    Raises:
        InvalidScenario: when the command fails or prints something else.
    """
    described = {name: flaw.does for name, flaw in system.service.flaws.items()}
    if not system.service.list_flaws:
        return described
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
    return {**{str(name): str(words) for name, words in flaws.items()}, **described}


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

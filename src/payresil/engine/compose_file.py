"""A team's compose file, read before anything is started: its services, and what is not its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from payresil.backends.containers.apartness import Steps, binds, clashes, external_networks
from payresil.core.problems import Place, Problem
from payresil.core.system import ServiceStart, System
from payresil.core.topology import Topology


class ComposeFileError(ValueError):
    """A file that is no compose file; says why."""


class _Loader(yaml.SafeLoader):
    """Reads what it needs of a file in which Compose knows more tags (``!reset``) than YAML."""


def _untagged(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if suffix == _RESET:
        return None
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


#: `$$`, `$NAME`, `${NAME}`, and `${NAME:-other}` with or without the colon, also `?` and `+`.
_VARIABLE = re.compile(
    r"\$(?:\$|(?P<bare>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<empty>:)?(?P<how>[-?+])(?P<other>(?:[^{}]|\{[^{}]*\})*))?\})"
)

#: The tag of what Compose takes out of a file.
_RESET = "reset"

_Loader.add_multi_constructor("!", _untagged)


@dataclass(frozen=True, slots=True)
class _ComposeFile:
    """What a compose file holds, and the nodes that tell where."""

    file: Path
    content: Mapping[str, Any]
    top: yaml.Node

    def place(self, steps: Steps) -> Place:
        """Where a value stands; for one that is not there, the last thing on the way to it."""
        node = self.top
        for step in steps:
            inner = _inner(node, step)
            if inner is None:
                break
            node = inner
        return Place(str(self.file), node.start_mark.line + 1, node.start_mark.column + 1)


def services_of(file: Path) -> tuple[str, ...] | None:
    """The services of a compose file; None where it includes others, which Compose alone can tell.

    Raises:
        ComposeFileError: when it cannot be read, or is something else.
    """
    content = _read(file).content
    return None if content.get("include") else tuple(str(name) for name in content["services"])


def not_apart(service: ServiceStart) -> Iterator[Problem]:
    """What in the compose file of a service a run must not start, with its place in that file.

    What included files and other variables add, Compose alone can tell, when the run begins.

    Raises:
        ComposeFileError: when it cannot be read, or is something else.
    """
    found = _read(Path(str(service.compose)))
    content = _filled(found, service)
    for each in clashes(content, _members(service), found.file.parent):
        yield Problem(found.place(each.path), each.read, each.expected)


def filled(found: Any, variables: Mapping[str, str]) -> Any:
    """Data with the variables in its texts filled in, as Compose does it."""
    match found:
        case str():
            return _VARIABLE.sub(lambda match: _value(match, variables), found)
        case dict():
            return {key: filled(value, variables) for key, value in found.items()}
        case list():
            return [filled(value, variables) for value in found]
    return found


def project_notices(system: System, topology: Topology) -> Iterator[str]:
    """What faults can act on where the system is a compose project, and what they cannot."""
    service = system.service
    if service.compose is None:
        return
    yield from _theirs(service)
    nodes = [node for node in topology.nodes if node.role in ("service", *service.nodes)]
    yield (
        f"of the compose project, faults can act on {', '.join(map(str, nodes))} and on the links "
        f"between them and to the PSP{_beyond(system)}"
    )


def _beyond(system: System) -> str:
    service = system.service
    there = services_of(Path(str(service.compose)))
    if there is None:
        return ""
    known = _members(service)
    others = [name for name in there if name not in known]
    if not others:
        return ""
    return f"; not on {', '.join(others)}, which service.nodes of the system file does not name"


def _theirs(service: ServiceStart) -> Iterator[str]:
    """What of this machine the project reads in a run, and what it does not find."""
    content = _filled(_read(Path(str(service.compose))), service)
    read = [f"{bind.source} ({bind.service})" for bind in binds(content)]
    if read:
        yield f"the compose project is given of this machine, to be read only: {', '.join(read)}"
    networks = external_networks(content)
    if networks:
        yield (
            f"in place of the external networks {', '.join(networks)} the compose project is given "
            "new ones, in which nobody else is"
        )


def _members(service: ServiceStart) -> set[str]:
    """The services of the project that are nodes."""
    return {str(service.service), *(service.member(role)[0] for role in service.nodes)}


def _read(file: Path) -> _ComposeFile:
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        top = loader.get_single_node()
        # Making data of it also merges what `<<` names, in the nodes themselves.
        content = None if top is None else loader.construct_document(top)
    except (OSError, UnicodeError) as error:
        raise ComposeFileError(f"a file that cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ComposeFileError(f"something that is no YAML ({_one_line(error)})") from error
    if top is None or not isinstance(content, dict):
        raise ComposeFileError("a file without services")
    if not content.get("include") and not isinstance(content.get("services"), dict):
        raise ComposeFileError("a file without services")
    return _ComposeFile(file, _without_reset(top, content), top)


def _filled(found: _ComposeFile, service: ServiceStart) -> Any:
    try:
        return filled(found.content, _variables(service))
    except RecursionError as error:
        raise ComposeFileError("a file with a part that contains itself") from error


def _without_reset(top: yaml.Node, content: Any) -> Any:
    """The content without services that Compose takes out: they are not empty, but not there."""
    services, node = content.get("services"), _inner(top, "services")
    if not isinstance(services, dict) or node is None:
        return content
    gone = {name for name in services if getattr(_inner(node, name), "tag", "") == f"!{_RESET}"}
    return {**content, "services": {k: v for k, v in services.items() if k not in gone}}


def _inner(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        values = [value for key, value in node.value if str(key.value) == str(step)]
        return values[-1] if values else None
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        found: yaml.Node = node.value[step]
        return found
    return None


def _variables(service: ServiceStart) -> dict[str, str]:
    """What variables of the file stand for, as far as that is known before a run."""
    beside = Path(str(service.compose)).parent / ".env"
    try:
        lines = beside.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        lines = []
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
    kept = {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
    return {**kept, **os.environ, **service.environment}


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    name = match["bare"] or match["name"]
    if name is None:
        return "$"
    value = variables.get(name)
    counts = bool(value) if match["empty"] else value is not None
    if match["how"] == "+":
        return match["other"] if counts else ""
    if match["how"] == "-" and not counts:
        return str(filled(match["other"], variables))
    return value or ""


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())

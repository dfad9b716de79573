"""A team's compose file, read before anything is started: which services it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from payresil.core.system import System
from payresil.core.topology import Topology


class ComposeFileError(ValueError):
    """A file that is no compose file; says why."""


class _Loader(yaml.SafeLoader):
    """Reads what it needs of a file in which Compose knows more tags (``!reset``) than YAML."""


def _untagged(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


_Loader.add_multi_constructor("!", _untagged)


def services_of(file: Path) -> tuple[str, ...] | None:
    """The services of a compose file; None where it includes others, which Compose alone can tell.

    Raises:
        ComposeFileError: when it cannot be read, or is something else.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeError) as error:
        raise ComposeFileError(f"a file that cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ComposeFileError(f"something that is no YAML ({_one_line(error)})") from error
    if not isinstance(content, dict):
        raise ComposeFileError("a file without services")
    if content.get("include"):
        return None
    services = content.get("services")
    if not isinstance(services, dict):
        raise ComposeFileError("a file without services")
    return tuple(str(name) for name in services)


def project_notices(system: System, topology: Topology) -> Iterator[str]:
    """What faults can act on where the system is a compose project, and what they cannot."""
    service = system.service
    if service.compose is None:
        return
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
    known = {service.service, *(service.member(role)[0] for role in service.nodes)}
    others = [name for name in there if name not in known]
    if not others:
        return ""
    return f"; not on {', '.join(others)}, which service.nodes of the system file does not name"


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())

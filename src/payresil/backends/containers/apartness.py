"""What in a compose file keeps a start of it from being apart: what others have, it has, too.

Read from plain data, as YAML or Compose gives it, so that a file can be judged before there is an
engine to ask. What is of another shape than Compose takes is left to Compose to refuse.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payresil.core.problems import shown

#: Under this name every node finds the proxies of its links.
TOXIPROXY = "toxiproxy"

#: Keys and positions that lead to a place in the file.
Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """What a run cannot be given, where in the file it stands, and what could stand there."""

    path: Steps
    read: str
    expected: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: read {self.read}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of this machine that a service is given."""

    path: Steps
    service: str
    source: str
    writable: bool


def clashes(config: Mapping[str, Any], nodes: Collection[str], folder: Path) -> Iterator[Clash]:
    """All that a run must not start. `nodes` are services that are nodes; `folder` has the file."""
    for name, described in _entries(config, "services"):
        if name == TOXIPROXY:
            words = "another name: under this one nodes find the proxies of their links"
            yield Clash(("services", name), f"the service {name}", words)
        if not isinstance(described, dict):
            read = "nothing" if described is None else shown(str(described))
            yield Clash(("services", name), read, "a mapping that describes the service")
        elif not described.get("profiles"):  # else it is not started
            yield from _of_service(name, described, is_node=name in nodes)
    for bind in binds(config):
        yield from _of_bind(bind, folder)
    for name, described in _entries(config, "volumes"):
        yield from _of_volume(name, _mapping(described))


def binds(config: Mapping[str, Any]) -> Iterator[Bind]:
    """Every bind mount of what is started."""
    for name, described in _entries(config, "services"):
        service = _mapping(described)
        mounts = [] if service.get("profiles") else _list(service.get("volumes"))
        for n, mount in enumerate(mounts):
            found = _long(mount) if isinstance(mount, dict) else _short(str(mount))
            if found is not None:
                source, writable = found
                yield Bind(("services", name, "volumes", n), name, source, writable)


def external_networks(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The networks that are not the project's own."""
    return tuple(name for name, one in _entries(config, "networks") if is_external(_mapping(one)))


def is_external(described: Mapping[str, Any] | None) -> bool:
    """Whether a network or volume is there already, and stays."""
    said = (described or {}).get("external")
    return bool(said) and str(said).lower() != "false"


def _of_service(name: str, service: Mapping[str, Any], *, is_node: bool) -> Iterator[Clash]:
    at = ("services", name)
    mode = service.get("network_mode")
    if mode is not None:
        yield from _of_network_mode((*at, "network_mode"), str(mode), is_node=is_node)
    for key in ("ipc", "pid"):
        said = str(service.get(key) or "")
        if said == "host" or said.startswith("container:"):
            words = f"no {key} that the run shares with what is not its own: leave it out for tests"
            yield Clash((*at, key), shown(said), words)
    for n, said in enumerate(_list(service.get("volumes_from"))):
        if str(said).startswith("container:"):
            words = "a service of this file: that container is not the run's"
            yield Clash((*at, "volumes_from", n), shown(str(said)), words)
    if service.get("external_links"):
        words = "links to services of this file alone: those containers are not the run's"
        yield Clash((*at, "external_links"), "external_links", words)


def _of_network_mode(at: Steps, mode: str, *, is_node: bool) -> Iterator[Clash]:
    if is_node:
        words = "none: a node joins the network of its links; leave it out for tests"
        yield Clash(at, f"the network_mode {shown(mode)} of a node", words)
    elif mode != "none" and not mode.startswith("service:"):
        words = "service:NAME or 'none': others are in that network; leave it out for tests"
        yield Clash(at, f"the network_mode {shown(mode)}", words)


def _of_bind(bind: Bind, folder: Path) -> Iterator[Clash]:
    if bind.writable:
        words = (
            "nothing of this machine that a run and its faults could write to: make it a named "
            "volume, which is new in each run, or add :ro"
        )
        yield Clash(bind.path, f"the writable bind of {shown(bind.source)}", words)
    elif _has_sockets(folder / os.path.expanduser(bind.source)):
        words = "no socket: through one, even if it is read only, a run acts on what is there"
        yield Clash(bind.path, f"the bind of {shown(bind.source)}, a way to sockets", words)


def _has_sockets(path: Path) -> bool:
    """Whether it is a socket, or a folder with one in it; what cannot be read is neither."""
    try:
        return path.is_socket() or (
            path.is_dir() and any(one.is_socket() for one in path.iterdir())
        )
    except (OSError, ValueError):
        return False


def _of_volume(name: str, described: Mapping[str, Any]) -> Iterator[Clash]:
    at = ("volumes", name)
    if is_external(described):
        words = "a volume of this file: a run would write into what others keep"
        yield Clash((*at, "external"), "a volume that is external", words)
    options = _mapping(described.get("driver_opts"))
    local = str(described.get("driver") or "local") == "local"
    if local and "device" in options and str(options.get("type")) != "tmpfs":
        words = "a volume without a device: a run would write into what is there"
        read = f"the device {shown(str(options['device']))}"
        yield Clash((*at, "driver_opts", "device"), read, words)
    elif options and not local:
        words = "no driver_opts of another driver than 'local': they may name what is there"
        yield Clash((*at, "driver_opts"), "driver_opts", words)


def _long(mount: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Source, and whether it can be written to; None for what is no bind mount."""
    if str(mount.get("type")) not in ("bind", "npipe"):
        return None
    return str(mount.get("source")), str(mount.get("read_only")).lower() != "true"


def _short(mount: str) -> tuple[str, bool] | None:
    source, *others = mount.split(":")
    if not others or not source.startswith((".", "/", "~")):
        return None  # a volume
    return source, "ro" not in ",".join(others[1:]).split(",")


def _entries(config: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    for name, described in _mapping(config.get(key)).items():
        yield str(name), described


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []

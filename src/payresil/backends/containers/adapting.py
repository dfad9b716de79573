"""A compose file as a run starts it: nothing of it is shared with any other start of it.

Names that are given in the file go, or two runs would get in each other's way and in that of
whoever works on the project; so do ports, of which only the nodes' are published, on one address.
What Compose makes is labelled. Everything joins the network that the links are in.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from payresil.backends.containers.apartness import clashes
from payresil.backends.containers.image_names import slug
from payresil.backends.containers.labels import Labels
from payresil.backends.containers.networks import alias
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node

_INNER, _HARNESS = "payresil-inner", "payresil-harness"

#: Ports are published through the network that a container joins first.
_FIRST = 1000

#: What is of one container alone, and what says how many there are.
_OF_ONE = ("container_name", "mac_address", "ports", "profiles", "scale")

#: Where a container is in a network, which another container may be by then.
_ADDRESSES = ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address")

#: What of a network stays: it can be said of any number of networks.
_OF_NETWORKS, _MTU = ("internal", "attachable"), "com.docker.network.driver.mtu"

#: Where a build would put what it made, beside under the name of the image.
_PUTS_OUT = ("tags", "cache_to")

#: Under which a service has no networks of its own.
_SHARES = "network_mode"


@dataclass(frozen=True, slots=True)
class Driven:
    """A service of the project that is a node, and what it is told beside what the file says."""

    node: Node
    service: str
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Joined:
    """What of a run the project is joined to."""

    labels: Labels
    harness: str  # the network through which ports are published
    inner: str  # the network that the links are in
    address: str  # of this machine, on which ports are published
    ports: Mapping[str, int]  # by node
    images: str  # how names begin of images that are built


def adapted(config: Mapping[str, Any], driven: Sequence[Driven], joined: Joined) -> dict[str, Any]:
    """A resolved compose file as this run starts it.

    Raises:
        EnvironmentBroke: when it lacks a service, or cannot be started apart from others.
    """
    _refuse(config, driven)
    builds = _builds(config["services"])
    services = {
        name: _service(name, one, joined, _build(one, builds))
        for name, one in config["services"].items()
    }
    for name, nodes in _by_service(driven).items():
        original = services.pop(name)
        for n, one in enumerate(nodes, start=1):
            # The first keeps the name, which others depend on; all are reached by it.
            own_name = name if n == 1 else f"{name}-payresil-{n}"
            services[own_name] = _node(original, name, one, joined)
    kept = {key: value for key, value in config.items() if key not in ("name", "services")}
    made = {"labels": joined.labels.of()}
    networks = {
        name: {**_network(one or {}), **made}
        for name, one in {"default": {}, **(config.get("networks") or {})}.items()
    }
    networks[_INNER] = {"external": True, "name": joined.inner}
    networks[_HARNESS] = {"external": True, "name": joined.harness}
    volumes = {name: {**_unnamed(one), **made} for name, one in _volumes(config).items()}
    return {**kept, "services": services, "networks": networks, "volumes": volumes}


def _refuse(config: Mapping[str, Any], driven: Sequence[Driven]) -> None:
    services = config["services"]
    for one in driven:
        if one.service not in services:
            raise EnvironmentBroke(
                f"the compose file has no service {one.service}, which is to be {one.node}; there "
                f"are {', '.join(services)}"
            )
    # Paths are absolute by now.
    found = list(clashes(config, {one.service for one in driven}, Path("/")))
    if found:
        words = "\n".join(f"  {each}" for each in found)
        raise EnvironmentBroke(f"the compose file cannot be started apart from others:\n{words}")


def _volumes(config: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any] | None]:
    return config.get("volumes") or {}


def _network(described: Mapping[str, Any]) -> dict[str, Any]:
    """A new one of the run, also for one that is of others: no subnet and no bridge is theirs."""
    made = {key: described[key] for key in _OF_NETWORKS if key in described}
    mtu = (described.get("driver_opts") or {}).get(_MTU)
    return made if mtu is None else {**made, "driver_opts": {_MTU: mtu}}


def _unnamed(described: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (described or {}).items() if key != "name"}


def _by_service(driven: Sequence[Driven]) -> dict[str, list[Driven]]:
    found: dict[str, list[Driven]] = {}
    for one in driven:
        found.setdefault(one.service, []).append(one)
    return found


def _builds(services: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How images are built that services name, by their names."""
    return {
        one["image"]: one["build"]
        for one in services.values()
        if one.get("build") is not None and one.get("image")
    }


def _build(described: Mapping[str, Any], builds: Mapping[str, Any]) -> Any:
    """How the image of a service is built, maybe by another; None where it is there or pulled."""
    build = described.get("build") or builds.get(str(described.get("image")))
    if not isinstance(build, dict):
        return build
    return {key: copy.deepcopy(value) for key, value in build.items() if key not in _PUTS_OUT}


def _service(name: str, described: Mapping[str, Any], joined: Joined, build: Any) -> dict[str, Any]:
    """A service that is no node, or what its nodes have in common."""
    made = {key: copy.deepcopy(value) for key, value in described.items() if key not in _OF_ONE}
    made.get("deploy", {}).pop("replicas", None)
    made["labels"] = {**_labels(described), **joined.labels.of()}
    if build is not None:
        # Never the file's own tag, which is the team's; one in all runs, so that it is kept.
        made |= {"build": build, "image": f"{joined.images}-{slug(name)}:built"}
        made.pop("pull_policy", None)
    if _SHARES not in made:
        made["networks"] = {**_networks(described), _INNER: {}}
    return made


def _node(
    common: Mapping[str, Any], service: str, driven: Driven, joined: Joined
) -> dict[str, Any]:
    networks = {
        name: {**(one or {}), "aliases": _once(*(one or {}).get("aliases", ()), service)}
        for name, one in common["networks"].items()
    }
    networks[_INNER] = {"aliases": [alias(str(driven.node))]}
    networks[_HARNESS] = {"priority": _FIRST}
    number = joined.ports[str(driven.node)]
    told = {name: value.replace("$", "$$") for name, value in driven.environment.items()}
    return {
        **copy.deepcopy(dict(common)),
        "environment": {**_environment(common), **told},
        "labels": {**common["labels"], **joined.labels.of(str(driven.node))},
        "networks": networks,
        "ports": [f"{joined.address}:{number}:{driven.port}"],
        "restart": "no",  # what ends it, and what starts it again, are faults
    }


def _once(*names: str) -> list[str]:
    """Each name once: Compose refuses others."""
    return list(dict.fromkeys(names))


def _networks(described: Mapping[str, Any]) -> dict[str, Any]:
    found = described.get("networks") or {"default": None}
    joined = found if isinstance(found, dict) else dict.fromkeys(found)
    return {name: _unaddressed(one) for name, one in joined.items()}


def _unaddressed(joined: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if joined is None:
        return None
    return {key: value for key, value in joined.items() if key not in _ADDRESSES}


def _labels(described: Mapping[str, Any]) -> dict[str, str]:
    return _pairs(described.get("labels") or {})


def _environment(described: Mapping[str, Any]) -> dict[str, Any]:
    return _pairs(described.get("environment") or {})


def _pairs(found: Any) -> dict[str, Any]:
    """A mapping, which may be written as a list of ``NAME=VALUE``."""
    if isinstance(found, dict):
        return dict(found)
    split = (str(one).partition("=") for one in found)
    return {name: value if equals else None for name, equals, value in split}

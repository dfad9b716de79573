"""Containers, networks and volumes that runs have left, found by their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import docker
import docker.errors

from payresil.backends.containers.engine import asked
from payresil.backends.containers.labels import HARNESS
from payresil.backends.leftovers import Leftover, harness_of


def labelled(client: docker.DockerClient) -> Iterator[Leftover]:
    """Every container, and then every network and volume, that bears the label of a harness.

    Raises:
        EnvironmentBroke: when the engine cannot list them.
    """
    chosen = {"label": HARNESS}
    with asked("what runs have left cannot be listed"):
        containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
        networks = client.networks.list(filters=chosen)
        volumes = client.volumes.list(filters=chosen)
    for container in containers:
        yield _leftover("container", container, container.labels, {"force": True, "v": True})
    for network in networks:
        yield _leftover("network", network, network.attrs["Labels"], {})
    for volume in volumes:
        yield _leftover("volume", volume, volume.attrs["Labels"], {})


def _leftover(kind: str, thing: Any, labels: dict[str, str], how: dict[str, bool]) -> Leftover:
    name = f"{kind} {thing.name}"
    return Leftover(name, harness_of(labels[HARNESS]), _removal(name, thing.remove, how))


def _removal(name: str, remove: Callable[..., None], how: dict[str, bool]) -> Callable[[], None]:
    def call() -> None:
        with asked(f"the {name} cannot be removed"):
            try:
                remove(**how)
            except docker.errors.NotFound:
                return  # somebody was quicker

    return call

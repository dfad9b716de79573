"""Makes a container out of a recipe, with testcontainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import docker.errors
import requests
from docker.models.containers import Container
from docker.types import Mount
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from payresil.backends.containers.dock import Dock
from payresil.backends.containers.engine import reason
from payresil.backends.containers.networks import alias
from payresil.backends.containers.recipe import Recipe
from payresil.core.protocols import EnvironmentBroke

#: Whether it serves is asked from outside, when somebody wants to know. An image's own health check
#: starts a program every few seconds in every container, on a machine that is being measured.
_NO_HEALTH_CHECK = {"test": ["NONE"]}


def make_and_start(
    name: str,
    recipe: Recipe,
    dock: Dock,
    *,
    networks: tuple[Network, ...],
    ports: Mapping[int, int],
) -> Container:
    """A container that runs, in its networks, with its ports published on one address alone.

    It is in the first of its networks before it starts, so it finds its links there at once.
    `ports` is port in the container → port of this machine: fixed, so that they are the same when
    it is started again.

    Raises:
        EnvironmentBroke: when it cannot be made or started.
    """
    container = DockerContainer(recipe.image, command=cast(Any, list(recipe.command)))
    container.image = recipe.image  # as it was looked for, without a prefix of testcontainers' own
    container.with_name(dock.labels.name(alias(name)))
    container.with_envs(**recipe.environment)
    container.with_network(networks[0]).with_network_aliases(alias(name))
    published = cast("dict[str, Any]", container.ports)
    published |= {f"{port}/tcp": (dock.settings.address, there) for port, there in ports.items()}
    container.with_kwargs(
        labels=dock.labels.of(name),
        init=True,
        healthcheck=_NO_HEALTH_CHECK,
        mounts=[
            # Without a name, so they go with the container.
            Mount(target, None, type="volume", labels=dock.labels.of(name))
            for target in recipe.volumes
        ],
        platform=dock.settings.platform,
        entrypoint=None if recipe.entrypoint is None else list(recipe.entrypoint),
    )
    for path, content in recipe.files.items():
        container.with_copy_into_container(content, path)
    for path, folder in recipe.folders.items():
        container.with_copy_into_container(folder, path)
    try:
        container.start()
        made = container.get_wrapped_container()
        dock.networks.harness.connect(str(made.id))
        for network in networks[1:]:
            network.connect(str(made.id), [alias(name)])
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EnvironmentBroke(f"{name} cannot be started: {reason(error)}") from error
    return made

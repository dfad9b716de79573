"""What the containers of one run share, and their removal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import requests

from payresil.backends.containers.engine import asked, reason
from payresil.backends.containers.labels import ENVIRONMENT, Labels
from payresil.backends.containers.networks import Networks
from payresil.backends.containers.settings import Settings
from payresil.backends.embedded.node_process import Report
from payresil.core.protocols import EnvironmentBroke

#: Starting a container takes the engine most of a second, which several may spend together.
_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Dock:
    """Where the containers of a run are made."""

    client: docker.DockerClient
    settings: Settings
    labels: Labels
    networks: Networks
    pool: Executor
    logs: Path
    report: Report


@contextmanager
def docked(
    client: docker.DockerClient, settings: Settings, run: str, logs: Path, report: Report
) -> Iterator[Dock]:
    """A dock; at the end everything that was made in it is removed.

    Raises:
        EnvironmentBroke: when the engine refuses a network.
    """
    labels = Labels(run)
    try:
        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="container") as pool:
            networks = Networks(client, labels)
            yield Dock(client, settings, labels, networks, pool, logs, report)
    finally:
        left = remove_labelled(client, f"{ENVIRONMENT}={labels.environment}")
        if left:
            words = f"not removed, `payresil clean` tries again: {'; '.join(left)}"
            report("harness", "environment", "warning", error=words)


def remove_labelled(client: docker.DockerClient, label: str) -> list[str]:
    """Remove everything that bears a label; what could not be, and why."""
    chosen = {"label": label}
    try:
        with asked("what is to be removed cannot be listed"):
            containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
            networks = client.networks.list(filters=chosen)
            volumes = client.volumes.list(filters=chosen)
    except EnvironmentBroke as error:
        return [str(error)]
    # With their anonymous volumes, as the databases of official images have them.
    left = _each(lambda one: one.remove(force=True, v=True), containers)
    return left + _each(lambda one: one.remove(), [*networks, *volumes])


def _each(remove: Callable[..., None], things: Iterable[object]) -> list[str]:
    def one(thing: object) -> str | None:
        try:
            with contextlib.suppress(docker.errors.NotFound):
                remove(thing)
        except (docker.errors.DockerException, requests.RequestException) as error:
            return f"{getattr(thing, 'name', thing)}: {reason(error)}"
        return None

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="remove") as pool:
        return [words for words in pool.map(one, things) if words is not None]

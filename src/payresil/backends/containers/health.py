"""Waits until a compose project is up: everything serves that should, and steps have ended well."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import docker
from docker.models.containers import Container

from payresil.backends.containers.compose import PROJECT, SERVICE
from payresil.backends.containers.engine import asked
from payresil.core.protocols import EnvironmentBroke

_LOG_LINES = 8


def containers_of(client: docker.DockerClient, project: str) -> list[Container]:
    """The containers of a project, running or not.

    Raises:
        EnvironmentBroke: when the engine cannot list them.
    """
    with asked(f"the containers of the project {project} cannot be listed"):
        found: list[Container] = client.containers.list(
            all=True, filters={"label": f"{PROJECT}={project}"}, ignore_removed=True
        )
    return found


def service_of(container: Container) -> str:
    """Which service of its project a container is of."""
    return str(container.labels.get(SERVICE, container.name))


def await_health(client: docker.DockerClient, project: str, timeout_s: float) -> None:
    """Wait until nothing of a project is still on its way.

    Raises:
        EnvironmentBroke: when a part is unhealthy or ended, with its last words, or when some are
            not there after `timeout_s` seconds, naming them.
    """
    waiting: list[str] = []
    for _ in _moments(client, project, timeout_s):
        waiting = [service_of(one) for one in containers_of(client, project) if _on_its_way(one)]
        if not waiting:
            return
    raise EnvironmentBroke(
        f"{', '.join(sorted(waiting))} did not come up within {timeout_s:g} s: see "
        "`docker logs` of their containers"
    )


def _moments(client: docker.DockerClient, project: str, timeout_s: float) -> Iterator[object]:
    """Now, and whenever something happens to a container of the project, until time is up."""
    began = int(time.time())
    with asked("the engine does not tell what happens"):
        events = client.events(
            since=began,
            until=began + int(timeout_s),
            filters={"label": f"{PROJECT}={project}", "type": "container"},
            decode=True,
        )
        yield from itertools.chain([None], events)


def _on_its_way(container: Container) -> bool:
    """Whether a container is neither up nor done yet; raises when it never will be."""
    state: dict[str, Any] = container.attrs["State"]
    status, health = state["Status"], (state.get("Health") or {}).get("Status", "")
    if status == "running":
        if health == "unhealthy":
            raise _failed(container, "is unhealthy")
        return bool(health == "starting")
    if status in ("exited", "dead"):
        policy = container.attrs["HostConfig"]["RestartPolicy"]["Name"]
        if state["ExitCode"] != 0 or policy not in ("", "no"):
            raise _failed(container, f"ended with status {state['ExitCode']}")
        return False
    return True  # created, restarting


def _failed(container: Container, how: str) -> EnvironmentBroke:
    with asked(f"the log of {container.name} cannot be read"):
        said = container.logs(tail=_LOG_LINES).decode(errors="replace")
    words = "\n".join(f"  {line}" for line in said.splitlines()) or "  (it said nothing)"
    return EnvironmentBroke(
        f"{service_of(container)} {how}. What {container.name} said last:\n{words}"
    )

"""The Docker engine: connected to, and asked in words that say what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
import requests
from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient

from payresil.core.protocols import EnvironmentBroke

_RYUK = "TESTCONTAINERS_RYUK_DISABLED"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def connect() -> docker.DockerClient:
    """A client of the engine that DOCKER_HOST or Docker's context names, else of this machine.

    Raises:
        EnvironmentBroke: when none answers.
    """
    if _RYUK not in os.environ:
        # Ryuk wants the engine's socket and an image from the web. What a killed run leaves is
        # labelled, and `payresil clean` removes it.
        testcontainers_config.ryuk_disabled = True
    try:
        client = DockerClient().client
        client.ping()
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EnvironmentBroke(
            f"no Docker engine answers: start one, or set DOCKER_HOST ({reason(error)})"
        ) from error
    return client


def reason(error: Exception) -> str:
    """What the engine said, without the request that it was said to."""
    if isinstance(error, docker.errors.APIError):
        return str(error.explanation or error).strip()
    return str(error)


def refuse_other_machine(container: Container) -> None:
    """Raise when containers run on another machine: moments of the PSP are of its clock.

    Raises:
        EnvironmentBroke: saying so, or that the container cannot be asked.
    """
    with asked("the machine that containers run on is not known"):
        there = container.exec_run(["cat", _BOOT_ID]).output.decode(errors="replace").strip()
    if there != Path(_BOOT_ID).read_text().strip():
        raise EnvironmentBroke(
            "the Docker engine runs on another machine, and what its containers measure cannot be "
            "put on the clock of this one: run payresil where the engine is"
        )


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Have failures of the engine raised as `EnvironmentBroke`: ``docker: WHAT: REASON``."""
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EnvironmentBroke(f"docker: {what}: {reason(error)}") from error

"""Images: looked for, and pulled where they are missing, all at the same time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import docker.errors
from docker.utils import parse_repository_tag

from payresil.backends.containers.engine import asked, reason
from payresil.backends.containers.settings import (
    OFFICIAL,
    OWN,
    OWN_IMAGE,
    OWN_PROMETHEUS_IMAGE,
    SERVICE_IMAGE,
    WATCHING,
)
from payresil.core.protocols import EnvironmentBroke

_SAY_EVERY_S = 2.0


def make_present(
    client: docker.DockerClient, images: Mapping[str, str], platform: str | None
) -> None:
    """Pull what is missing; `images` are by the setting, or in words the place, that names them.

    Raises:
        EnvironmentBroke: naming every image that cannot be had, and what to do.
    """
    missing = {setting: image for setting, image in images.items() if not _is_there(client, image)}
    if not missing:
        return
    names = sorted(set(missing.values()))
    with ThreadPoolExecutor(len(names), thread_name_prefix="pull") as pool:
        failures = dict(
            zip(names, pool.map(lambda name: _pull(client, name, platform), names), strict=True)
        )
    wrong = {image: words for image, words in failures.items() if words is not None}
    if wrong:
        unmet = {setting: image for setting, image in missing.items() if image in wrong}
        raise EnvironmentBroke(_refusal(unmet, next(iter(wrong.values()))))


def _is_there(client: docker.DockerClient, image: str) -> bool:
    with asked(f"looking for the image {image}"):
        try:
            client.images.get(image)
        except docker.errors.ImageNotFound:
            return False
    return True


def _refusal(missing: Mapping[str, str], said: str) -> str:
    """Which images cannot be had, why, and what to do about each of them, in one line."""
    names = ", ".join(f"{image} ({setting})" for setting, image in missing.items())
    advice = []
    if any(setting in OFFICIAL for setting in missing):
        advice.append(
            f"set {', '.join(each for each in missing if each in OFFICIAL)} to an image that is "
            f"there ({OWN_IMAGE} plays these parts too), or PAYRESIL_REGISTRY to a mirror"
        )
    if "PAYRESIL_PROMETHEUS_IMAGE" in missing:
        advice.append(
            "make one with containers/prometheus-image.sh and set PAYRESIL_PROMETHEUS_IMAGE to "
            f"{OWN_PROMETHEUS_IMAGE}, or name a Prometheus that watches with --prometheus URL"
        )
    if watching := [each for each in missing if each in WATCHING]:
        advice.append(
            f"set {', '.join(watching)} to an image that is there, or leave --observe out"
        )
    if OWN in missing:
        advice.append(f"build {missing[OWN]} with containers/build.sh")
    if SERVICE_IMAGE in missing:
        advice.append(f"build {missing[SERVICE_IMAGE]}, or name another in the system file")
    named = {*OFFICIAL, *WATCHING, OWN, SERVICE_IMAGE}
    advice += [f"build {missing[where]}" for where in missing if where not in named]
    return f"there is no image {names} and none can be pulled: {'; '.join(advice)} ({said.strip()})"


def _pull(client: docker.DockerClient, image: str, platform: str | None) -> str | None:
    """Pull one image; the reason when that fails."""
    repository, tag = parse_repository_tag(image)
    progress = _Progress(image)
    try:
        for step in client.api.pull(
            repository, tag or "latest", stream=True, decode=True, platform=platform
        ):
            if "error" in step:
                return str(step["error"])
            progress.note(step)
    except Exception as error:  # whatever broke must not keep the others from being named
        return reason(error)
    progress.end()
    return None


class _Progress:
    """Says on stderr how a pull goes: when it begins, every few seconds, when it ends."""

    _lock = threading.Lock()  # of lines: several images are pulled at a time

    def __init__(self, image: str) -> None:
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}
        self._said_s = 0.0
        self._say("pulling")

    def note(self, step: Mapping[str, Any]) -> None:
        """Take in what the engine reported."""
        detail = step.get("progressDetail") or {}
        if step.get("status") == "Downloading" and "total" in detail:
            self._layers[str(step.get("id"))] = int(detail["current"]), int(detail["total"])
        if self._layers and time.monotonic() - self._said_s > _SAY_EVERY_S:
            done, total = (sum(sizes) / 1e6 for sizes in zip(*self._layers.values(), strict=True))
            self._say(f"{done:.0f} of {total:.0f} MB")

    def end(self) -> None:
        """It is there."""
        self._say("pulled")

    def _say(self, words: str) -> None:
        self._said_s = time.monotonic()
        with self._lock:
            print(f"image {self._image}: {words}", file=sys.stderr, flush=True)

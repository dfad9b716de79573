"""Images that are missing: pulled, or told with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest

from payresil.backends.containers.images import make_present
from payresil.backends.containers.settings import WATCHING
from payresil.core.protocols import EnvironmentBroke


class Engine:
    """An engine that has some images and can pull some."""

    def __init__(self, there: set[str], steps: dict[str, list[dict[str, Any]]]) -> None:
        self.there = there
        self.steps = steps
        self.asked: list[tuple[str, str, str | None]] = []
        self.images = self.api = self

    def get(self, image: str) -> None:
        if image not in self.there:
            raise docker.errors.ImageNotFound("no such image")

    def pull(self, repository: str, tag: str, platform: str | None, **_: Any) -> Iterator[Any]:
        self.asked.append((repository, tag, platform))
        if repository not in self.steps:
            raise docker.errors.APIError("", explanation="no such host")
        yield from self.steps[repository]


def test_what_is_there_is_not_pulled() -> None:
    engine = Engine({"postgres:18"}, {})
    make_present(engine, {"PAYRESIL_POSTGRES_IMAGE": "postgres:18"}, None)
    assert engine.asked == []


def test_what_is_missing_is_pulled_once_and_its_progress_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    layer = {"status": "Downloading", "id": "l1"}
    steps = [{**layer, "progressDetail": {"current": 5, "total": 10_000_000}}, {"status": "Done"}]
    engine = Engine(set(), {"mirror:5000/caddy": steps})
    image = "mirror:5000/caddy"
    make_present(engine, {"PAYRESIL_CADDY_IMAGE": image, "service.image": image}, "linux/arm64")
    assert engine.asked == [(image, "latest", "linux/arm64")]
    said = capsys.readouterr().err.splitlines()
    assert (said[0], said[-1]) == (f"image {image}: pulling", f"image {image}: pulled")


def test_everything_that_cannot_be_pulled_is_named_with_what_to_do() -> None:
    engine = Engine(set(), {"caddy": [{"error": "toomanyrequests"}]})
    images = {
        "PAYRESIL_IMAGE": "payresil:local",
        "PAYRESIL_CADDY_IMAGE": "caddy:2",
        "service.image": "shop",
    }
    with pytest.raises(EnvironmentBroke) as broke:
        make_present(engine, images, None)
    said = str(broke.value)
    assert "payresil:local (PAYRESIL_IMAGE), caddy:2 (PAYRESIL_CADDY_IMAGE)" in said
    assert "build payresil:local with containers/build.sh" in said
    assert "set PAYRESIL_CADDY_IMAGE to an image that is there" in said
    assert "PAYRESIL_REGISTRY to a mirror" in said
    assert "build shop, or name another in the system file" in said
    assert said.endswith("(toomanyrequests)")
    assert "\n" not in said
    assert "prometheus" not in said


def test_a_prometheus_that_cannot_be_pulled_can_be_made_or_named() -> None:
    with pytest.raises(EnvironmentBroke) as broke:
        make_present(Engine(set(), {}), WATCHING, None)
    said = str(broke.value)
    assert "make one with containers/prometheus-image.sh" in said
    assert "set PAYRESIL_PROMETHEUS_IMAGE to payresil-prometheus:local" in said
    assert "--prometheus URL" in said
    assert "payresil:local" not in said  # that one plays no Prometheus

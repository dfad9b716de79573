"""``docker-compose.yml`` as docker-compose reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from payresil.backends.containers.settings import OFFICIAL, WATCHING
from payresil.backends.containers.settings import OWN as OWN_SETTING

pytestmark = pytest.mark.docker

OWN = ("--env-file", "containers/own-image.env")


@pytest.fixture(scope="module")
def read(run: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """The services, as they would be started with these options and settings."""

    def services(*options: str, **settings: str) -> dict[str, Any]:
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
        text = run("docker-compose", "--profile", "observe", *options, "config", env=environment)
        found: dict[str, Any] = yaml.safe_load(text)["services"]
        return found

    return services


def test_parts_with_an_official_image_use_it_by_default(
    read: Callable[..., dict[str, Any]],
) -> None:
    services = read()
    images = {name: service["image"].rpartition(":")[0] for name, service in services.items()}
    own = {name for name, image in images.items() if image == "payresil"}
    assert own == {"service-1", "service-2", "psp", "watcher", "certificates", "wiring"}
    assert images["db"] == "postgres"
    assert images["router"] == images["lb"] == "caddy"
    assert images["toxiproxy"] == "ghcr.io/shopify/toxiproxy"
    assert images["prometheus"] == "prom/prometheus"
    assert images["grafana"] == "grafana/grafana"


def test_one_image_plays_every_part_but_those_that_watch(
    read: Callable[..., dict[str, Any]],
) -> None:
    images = {name: service["image"] for name, service in read(*OWN).items()}
    others = {name for name, image in images.items() if image != "payresil:local"}
    assert others == {"prometheus", "grafana"}


def test_every_image_can_be_named(read: Callable[..., dict[str, Any]]) -> None:
    services = read(**dict.fromkeys([OWN_SETTING, *OFFICIAL, *WATCHING], "here.example/it:1"))
    assert {service["image"] for service in services.values()} == {"here.example/it:1"}


def test_the_base_and_pips_options_reach_the_build(read: Callable[..., dict[str, Any]]) -> None:
    services = read(BASE_IMAGE="base.example/python:3", PIP_OPTIONS="--index-url https://i.example")
    built = [service["build"]["args"] for service in services.values() if "build" in service]
    assert built
    for arguments in built:
        assert arguments["BASE_IMAGE"] == "base.example/python:3"
        assert arguments["PIP_OPTIONS"] == "--index-url https://i.example"


def test_nothing_is_published_beyond_loopback_whatever_the_ports(
    read: Callable[..., dict[str, Any]],
) -> None:
    services = read(CUSTOMERS_PORT="0", BOOKS_PORT="7777")
    published = [str(port) for service in services.values() for port in service.get("ports", ())]
    assert any(port.startswith("127.0.0.1:7777:") for port in published)
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_a_flaw_is_switched_on_in_both_instances(read: Callable[..., dict[str, Any]]) -> None:
    services = read(FLAW="key-per-attempt")
    for name in ("service-1", "service-2"):
        assert services[name]["environment"]["FLAW"] == "key-per-attempt"

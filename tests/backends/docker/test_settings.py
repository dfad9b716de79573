"""What can be set about containers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from payresil.backends.containers.settings import OFFICIAL, OWN, WATCHING, read_settings
from payresil.core.system import Api, Needs, ServiceStart, System

DOCUMENT = Path(__file__).parents[3] / "docs" / "containers.md"
SYSTEM = System("tiny", ServiceStart(ready="/readyz"), Api({}), "reference")


def test_official_images_are_the_default() -> None:
    settings = read_settings({})
    assert settings.images == {**OFFICIAL, "PAYRESIL_IMAGE": "payresil:local"}
    assert settings.watching == WATCHING
    assert (settings.platform, settings.address) == (None, "127.0.0.1")


def test_a_registry_is_put_before_what_is_not_named() -> None:
    settings = read_settings(
        {"PAYRESIL_REGISTRY": "mirror.example", "PAYRESIL_CADDY_IMAGE": "payresil:local"}
    )
    assert settings.postgres == "mirror.example/postgres:18"
    assert settings.toxiproxy == "mirror.example/ghcr.io/shopify/toxiproxy:2.12.0"
    assert settings.prometheus == "mirror.example/prom/prometheus:v3.7.3"
    assert settings.caddy == settings.own == "payresil:local"


def test_what_is_empty_is_not_set() -> None:
    empty = dict.fromkeys(("PAYRESIL_REGISTRY", "PAYRESIL_PLATFORM", OWN, *OFFICIAL, *WATCHING), "")
    assert read_settings(empty) == read_settings({})


def test_only_what_a_system_needs_is_looked_for() -> None:
    settings = read_settings({})
    assert settings.images_for(SYSTEM) == settings.images
    asking = settings.images_for(SYSTEM, asks_prometheus=True)
    prometheus = "PAYRESIL_PROMETHEUS_IMAGE"  # and no Grafana
    assert asking == {**settings.images, prometheus: WATCHING[prometheus]}
    start = replace(SYSTEM.service, image="shop:1")
    shop = replace(SYSTEM, service=start, needs=Needs(database="none"))
    needed = settings.images_for(shop)
    assert needed["service.image"] == "shop:1"
    assert "PAYRESIL_POSTGRES_IMAGE" not in needed


def test_every_setting_is_documented() -> None:
    text = DOCUMENT.read_text()
    others = ("PAYRESIL_REGISTRY", "PAYRESIL_PLATFORM", "PAYRESIL_PUBLISH_ADDRESS")
    for name in (OWN, *OFFICIAL, *WATCHING, *others):
        assert f"`{name}`" in text
    for image in (*OFFICIAL.values(), *WATCHING.values(), "payresil:local"):
        assert f"`{image}`" in text

"""What can be set about containers, all of it from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from payresil.backends.ports import LOOPBACK
from payresil.core.system import System

#: Images of other projects: setting → image.
OFFICIAL = {
    "PAYRESIL_POSTGRES_IMAGE": "postgres:18",
    "PAYRESIL_CADDY_IMAGE": "caddy:2",
    "PAYRESIL_TOXIPROXY_IMAGE": "ghcr.io/shopify/toxiproxy:2.12.0",
}

#: Images of what watches, likewise; the own image plays none of them.
WATCHING = {
    "PAYRESIL_PROMETHEUS_IMAGE": "prom/prometheus:v3.7.3",
    "PAYRESIL_GRAFANA_IMAGE": "grafana/grafana:12.2.1",
}

#: The project's own image: setting and image.
OWN, OWN_IMAGE = "PAYRESIL_IMAGE", "payresil:local"

#: What containers/prometheus-image.sh makes.
OWN_PROMETHEUS_IMAGE = "payresil-prometheus:local"

#: What names the image of a service: its system file does.
SERVICE_IMAGE = "service.image"


@dataclass(frozen=True, slots=True)
class Settings:
    """Images by the setting that names them, and how containers are run."""

    images: Mapping[str, str]
    watching: Mapping[str, str]  # likewise, of what watches a run that asks it, or the stack
    platform: str | None  # such as linux/arm64; the engine's own where it is None
    address: str  # of this machine, as ports are published and reached

    def images_for(self, system: System, *, asks_prometheus: bool = False) -> dict[str, str]:
        """The images that a run of `system` needs, by what names them."""
        needed = dict(self.images)
        if asks_prometheus:
            needed["PAYRESIL_PROMETHEUS_IMAGE"] = self.prometheus
        if system.needs.database == "none":
            del needed["PAYRESIL_POSTGRES_IMAGE"]
        if system.service.image is not None:
            needed[SERVICE_IMAGE] = system.service.image
        return needed

    @property
    def own(self) -> str:
        """The image of the harness's own parts, and of services that are a command."""
        return self.images[OWN]

    @property
    def postgres(self) -> str:
        """The image of databases."""
        return self.images["PAYRESIL_POSTGRES_IMAGE"]

    @property
    def caddy(self) -> str:
        """The image of routers and balancers."""
        return self.images["PAYRESIL_CADDY_IMAGE"]

    @property
    def toxiproxy(self) -> str:
        """The image of what all links go through."""
        return self.images["PAYRESIL_TOXIPROXY_IMAGE"]

    @property
    def prometheus(self) -> str:
        """The image of what checks with `promql` and `alerting` ask."""
        return self.watching["PAYRESIL_PROMETHEUS_IMAGE"]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings out of environment variables; one that is empty counts as not set."""
    registry = environment.get("PAYRESIL_REGISTRY", "")
    if registry and not registry.endswith("/"):
        registry += "/"

    def named(defaults: Mapping[str, str]) -> dict[str, str]:
        # What is named in full is taken as it is; only the defaults come from the mirror.
        return {
            setting: environment.get(setting) or f"{registry}{image}"
            for setting, image in defaults.items()
        }

    return Settings(
        images={**named(OFFICIAL), OWN: environment.get(OWN) or OWN_IMAGE},
        watching=named(WATCHING),
        platform=environment.get("PAYRESIL_PLATFORM") or None,
        address=environment.get("PAYRESIL_PUBLISH_ADDRESS") or LOOPBACK,
    )

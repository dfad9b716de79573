"""Caddy's configuration: the router of the ingress, and the balancer of a region.

Both end TLS. A payment is sent on only once: it is tried elsewhere when no connection could be made
for it, and never after it may have been sent. (Go's HTTP client sends a request without a body
again, on a new connection, when the kept one turns out to be closed: that is a read, in practice.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payresil.backends.embedded.certificates import SERVER_NAME, Certificates
from payresil.backends.ports import LOOPBACK

#: A sick instance is found by asking it, and by what happens to requests sent to it.
_HEALTH_INTERVAL = "500ms"
_HEALTH_TIMEOUT = "1s"
_FAILS_FOR = "2s"
_MAX_FAILS = 3

_DIAL_TIMEOUT = "2s"
_IDLE_PER_HOST = 256
#: Shorter than any server keeps an idle connection: a payment must not meet one that just closes.
_IDLE_TIMEOUT = "2s"

#: No request has this method, so none is tried again once it may have been sent.
_NEVER = [{"method": ["NONE"]}]


@dataclass(frozen=True, slots=True)
class Site:
    """Where one Caddy listens and keeps its files."""

    port: int
    metrics_port: int
    storage: Path
    host: str = LOOPBACK  # empty: every address that it has
    control_port: int | None = None  # where it can be told otherwise while it runs


def balancer(site: Site, upstreams: Sequence[str], ready: str, tls: Certificates) -> dict[str, Any]:
    """In front of a region's instances (``host:port`` each): spread, check, eject.

    `ready` is the path that a healthy instance answers with a 2xx.
    """
    active = {"uri": ready, "interval": _HEALTH_INTERVAL, "timeout": _HEALTH_TIMEOUT}
    checks = {
        "active": {**active, "expect_status": 2, "fails": 2, "passes": 1},
        "passive": {"fail_duration": _FAILS_FOR, "max_fails": _MAX_FAILS},
    }
    proxy = _proxy(upstreams, _transport(), retries=len(upstreams) - 1, health_checks=checks)
    return _config(site, proxy, tls)


def router(site: Site, upstreams: Sequence[str], tls: Certificates) -> dict[str, Any]:
    """In front of the regions' balancers (``host:port`` each), spoken to over verified TLS."""
    transport = _transport() | {
        "tls": {
            "ca": {"provider": "file", "pem_files": [str(tls.ca_file)]},
            "server_name": SERVER_NAME,
        }
    }
    # No access log: customers record every attempt, and the balancer logs what reaches it.
    return _config(site, _proxy(upstreams, transport, retries=0), tls, access_log=False)


def _proxy(
    upstreams: Sequence[str], transport: dict[str, Any], retries: int, **more: Any
) -> dict[str, Any]:
    balancing: dict[str, Any] = {"selection_policy": {"policy": "round_robin"}}
    if retries > 0:
        balancing |= {"retries": retries, "retry_match": _NEVER}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": address} for address in upstreams],
        "load_balancing": balancing,
        "transport": transport,
        **more,
    }


def _transport() -> dict[str, Any]:
    return {
        "protocol": "http",
        "versions": ["1.1"],
        "dial_timeout": _DIAL_TIMEOUT,
        "keep_alive": {
            "enabled": True,
            "max_idle_conns_per_host": _IDLE_PER_HOST,
            "idle_timeout": _IDLE_TIMEOUT,
        },
    }


def _config(
    site: Site, proxy: dict[str, Any], tls: Certificates, *, access_log: bool = True
) -> dict[str, Any]:
    certificate = {"certificate": str(tls.chain_file), "key": str(tls.key_file)}
    ingress: dict[str, Any] = {
        "listen": [f"{site.host}:{site.port}"],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{"default_sni": SERVER_NAME}],
        "routes": [{"handle": [proxy]}],
    }
    if access_log:
        ingress["logs"] = {}
    metrics = {
        "listen": [f"{site.host}:{site.metrics_port}"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [{"handler": "metrics"}]}],
    }
    return {
        "admin": _control(site),
        "storage": {"module": "file_system", "root": str(site.storage)},
        "logging": {"logs": {"default": _logging()}},
        "apps": {
            "tls": {"certificates": {"load_files": [certificate]}},
            "http": {
                "grace_period": "200ms",
                "servers": {"ingress": ingress, "metrics": metrics},
            },
        },
    }


def _control(site: Site) -> dict[str, Any]:
    control: dict[str, Any] = {"config": {"persist": False}}
    if site.control_port is None:
        return {"disabled": True, **control}
    return {"listen": f"{LOOPBACK}:{site.control_port}", **control}


def _logging() -> dict[str, Any]:
    """JSON on stderr. Headers are left out: tokens and signatures travel in them."""
    left_out = {name: {"filter": "delete"} for name in ("request>headers", "resp_headers")}
    return {
        "writer": {"output": "stderr"},
        "encoder": {"format": "filter", "wrap": {"format": "json"}, "fields": left_out},
    }

"""Proxies, toxics and counters as the API shows them, members in the original's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from payresil.toxiproxy.proxy import Proxy
from payresil.toxiproxy.toxicset import InstalledToxic

Json = dict[str, object]


def proxy(shown: Proxy) -> Json:
    """``{"name", "listen", "upstream", "enabled", "toxics"}``."""
    return {
        "name": shown.name,
        "listen": shown.listen,
        "upstream": shown.upstream_text,
        "enabled": shown.enabled,
        "toxics": toxics(shown.toxics),
    }


def toxic(shown: InstalledToxic) -> Json:
    """``{"attributes", "name", "type", "stream", "toxicity"}``, every attribute included."""
    return {
        "attributes": asdict(shown.toxic),
        "name": shown.name,
        "type": shown.type,
        "stream": shown.stream,
        "toxicity": int(shown.toxicity) if shown.toxicity.is_integer() else shown.toxicity,
    }


def toxics(shown: Iterable[InstalledToxic]) -> list[Json]:
    """An array of toxics."""
    return [toxic(one) for one in shown]


def removal(removed: InstalledToxic) -> Json:
    """What the log keeps of a toxic that is gone."""
    return {"toxic": removed.name, "tally": asdict(removed.tally)}


def statistics(proxies: Iterable[Proxy]) -> Json:
    """``GET /stats``: counters by proxy, and in each by toxic; see ``Traffic`` and ``Tally``."""
    return {
        one.name: {
            **asdict(one.traffic()),
            "connections_open": one.connections_open,
            "toxics": {installed.name: asdict(installed.tally) for installed in one.toxics},
        }
        for one in proxies
    }

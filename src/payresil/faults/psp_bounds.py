"""What a rule of the PSP may say, beyond what its types say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from payresil.core.values import Duration

#: No rule lets a request wait for longer.
MAX_WAIT = Duration(600)

#: Everything that the PSP can be asked for.
ENDPOINTS = (
    "account.retrieve",
    "charges.list",
    "charges.retrieve",
    "events.list",
    "events.retrieve",
    "payment_intents.cancel",
    "payment_intents.capture",
    "payment_intents.confirm",
    "payment_intents.create",
    "payment_intents.list",
    "payment_intents.retrieve",
    "payment_intents.search",
    "payment_intents.update",
    "refunds.create",
    "refunds.list",
    "refunds.retrieve",
    "webhook_endpoints.create",
    "webhook_endpoints.delete",
    "webhook_endpoints.list",
    "webhook_endpoints.retrieve",
)


def psp_bounds(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """An endpoint that the PSP has, some of its requests, an error, and a wait that ends."""
    if not any(_covers(given["endpoint"], endpoint) for endpoint in ENDPOINTS):
        yield "endpoint", f"an endpoint of the PSP, or * at the end: {', '.join(ENDPOINTS)}"
    if given["share"] == 0:
        yield "share", "more than 0%"
    for name in ("delay", "hang"):
        if name in given and given[name] > MAX_WAIT:
            yield name, f"{MAX_WAIT} at most"
    if not 400 <= given.get("status", 500) <= 599:
        yield "status", "the HTTP status of an error, from 400 to 599"


def _covers(pattern: str, endpoint: str) -> bool:
    if pattern.endswith("*"):
        return endpoint.startswith(pattern[:-1])
    return endpoint == pattern

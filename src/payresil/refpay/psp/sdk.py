"""The PSP's official SDK, without what it would do on speculation.

``stripe`` imports ``requests``, ``httpx`` and ``aiohttp`` where they are installed, for default
clients that this service never makes: most of the time of its import. And it words every request,
card number included, for a debug log that nobody keeps: CPU for every request, and card data in
strings that should not be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # documented: "not installed"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


with _hidden("requests", "httpx", "aiohttp"):
    import stripe
    from stripe import HTTPClient, StripeClient, _api_requestor

#: Telemetry would describe the machine and time every request, in a header of each.
stripe.enable_telemetry = False


def _keep_quiet(message: str, **params: object) -> None:
    """In place of the SDK's loggers."""


for _logger in ("log_debug", "log_info"):
    if hasattr(_api_requestor, _logger):
        setattr(_api_requestor, _logger, _keep_quiet)

__all__ = ["HTTPClient", "StripeClient", "stripe"]

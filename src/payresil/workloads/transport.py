"""What a client needs of the world: a way to send, and a clock to live by."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from payresil.core.mapping import Request


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: an HTTP answer, or `error` for why there was none."""

    status: int | None
    headers: Mapping[str, Any] = field(default_factory=dict)  # by lower-case name
    body: bytes = b""
    error: str | None = None


class Transport(Protocol):
    """Sends one request and waits for its answer."""

    def send(self, request: Request, timeout_s: float) -> Reply:
        """The answer, or why there was none after at most `timeout_s` seconds. Never raises."""
        ...


class Pace(Protocol):
    """Time as one process lives it, and doing two things at once."""

    def now_ns(self) -> int:
        """Run time in nanoseconds."""
        ...

    def sleep_until(self, at_ns: int) -> None:
        """Return at this run time, or at once when it has passed."""
        ...

    def spawn(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Start `call` beside the caller. The result waits for it and returns or raises as it."""
        ...


def error_name(error: BaseException) -> str:
    """One word for why there was no answer, as the column `error` holds it.

    ``refused`` only for a connection that was never made: a service that answers RST later
    gives ``reset``, and then the request may have been carried out.
    """
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError):
        return "reset"
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "network"

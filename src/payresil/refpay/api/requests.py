"""What every request goes through: who is asking, and with which key."""

from __future__ import annotations

import hmac
from typing import cast

from starlette.requests import Request

from payresil.refpay.work.service import Service

#: Longer keys are refused by the PSP's rules and by ours.
_LONGEST_KEY = 255


class RefusedError(Exception):
    """The request goes no further: status, code and message of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def service_of(request: Request) -> Service:
    return cast(Service, request.scope["service"])


def check_standing(request: Request) -> None:
    """Whether this instance may act, on a database that is its own. Raises RefusedError."""
    service = service_of(request)
    if not service.standing.acts:
        service.metrics.fenced.labels(request.scope["endpoint"].__name__).inc()
        raise RefusedError(503, "fenced",
                           "nothing was done: this region does not hold the lease")  # fmt: skip
    if service.lease is not None and not service.ready.is_set():
        # A standby could be read from, but may be behind until it has been promoted.
        raise RefusedError(503, "not_ready", "nothing was done: the database is not ready yet")


def check_customer(request: Request) -> Service:
    """The service, for a caller with the customers' token, while it acts. Raises RefusedError."""
    service = service_of(request)
    _check_bearer(request, service.settings.api_token)
    check_standing(request)
    return service


def check_operator(request: Request) -> Service:
    """The service, for a caller with the operators' token. Raises RefusedError."""
    service = service_of(request)
    _check_bearer(request, service.settings.admin_token)
    return service


def _check_bearer(request: Request, token: str) -> None:
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise RefusedError(401, "unauthorized", "send Authorization: Bearer <token>")


def idempotency_key(request: Request) -> str:
    """The key of a request that moves money. Raises RefusedError."""
    key = request.headers.get("idempotency-key", "").strip('"')  # the IETF draft quotes it
    if not key or len(key) > _LONGEST_KEY or not key.isprintable():
        raise RefusedError(400, "idempotency_key_required",
                      "send an Idempotency-Key of 1 to 255 printable characters")  # fmt: skip
    return key

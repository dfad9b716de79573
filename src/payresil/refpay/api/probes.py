"""``/healthz``, ``/readyz``, ``/metrics``: for balancers and monitoring."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from payresil.refpay.api.answers import answer, refuse
from payresil.refpay.api.requests import service_of
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError

_PATIENCE_S = 0.8


async def health(request: Request) -> Response:
    """The process answers."""
    return answer(200, {"status": "alive"})


async def readiness(request: Request) -> Response:
    """The lease is held, and the database answers, can be written to, and has the schema."""
    service = service_of(request)
    if not service.standing.acts:
        return refuse(503, "fenced", "this region does not hold the lease")
    if not service.ready.is_set():
        return refuse(503, "not_ready", "the database is away, or a standby, or has no schema yet")
    try:
        async with asyncio.timeout(_PATIENCE_S):
            row = await service.database.row("select pg_is_in_recovery() as standby")
    except (DatabaseDownError, DatabaseUnknownError, TimeoutError):
        return refuse(503, "not_ready", "the database does not answer")
    if row is None or row["standby"]:
        return refuse(503, "not_ready", "the database is a standby")
    return answer(200, {"status": "ready"})


async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    content = service_of(request).metrics.text()
    return Response(content, media_type="text/plain; version=1.0.0; charset=utf-8")

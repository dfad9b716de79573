"""The outermost layer: who answered, how it is counted, what an error looks like."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payresil.refpay.api.answers import refuse
from payresil.refpay.api.bodies import BodyError
from payresil.refpay.api.requests import RefusedError
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError
from payresil.refpay.eventlog import place
from payresil.refpay.work.service import Service


class Edge:
    """Wraps the routes: plain ASGI, as a middleware class would double a request's cost."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._headers = [
            (b"x-instance", service.settings.instance.encode()),
            (b"x-region", service.settings.region.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 500

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        scope["service"] = self._service
        try:
            await self._app(scope, receive, tagged)
        except Exception as error:  # the last line: whatever it is, the caller gets an answer
            await self._explain(error)(scope, receive, tagged)
        finally:
            endpoint = scope.get("endpoint")
            route = getattr(endpoint, "__name__", "none")
            if self._service.policies.counts(status):
                self._service.metrics.answered(route, status, perf_counter() - began)

    def _explain(self, error: Exception) -> ASGIApp:
        if isinstance(error, RefusedError):
            return refuse(error.status, error.code, error.message)
        if isinstance(error, BodyError):
            return refuse(400, "invalid", str(error))
        if isinstance(error, DatabaseDownError):
            self._service.metrics.database_errors.labels("down").inc()
            return refuse(503, "unavailable", "nothing was done: try again", {"Retry-After": "1"})
        if isinstance(error, DatabaseUnknownError):
            self._service.metrics.database_errors.labels("unknown").inc()
            return refuse(504, "unknown", "it may have been done: send it again with the same key")
        self._service.log.error("unexpected", error=type(error).__name__, at=place(error))
        return refuse(500, "internal", "it may have been done: send it again with the same key")

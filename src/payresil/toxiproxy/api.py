"""The HTTP API: every endpoint of Toxiproxy, and ``/stats`` and ``/lease``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from payresil.toxiproxy import bodies, log, rendering
from payresil.toxiproxy.collection import Collection
from payresil.toxiproxy.errors import ApiError
from payresil.toxiproxy.lease import Lease
from payresil.toxiproxy.proxy import Proxy
from payresil.toxiproxy.responses import (
    REQUEST_ID,
    empty,
    error_answer,
    json_answer,
    request_id,
    text,
    version,
)

#: Bytes of a request body; parsing one holds up the connections that are proxied.
MAX_BODY = 1024 * 1024

Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """The endpoints, over a collection of proxies and a lease."""

    def __init__(self, proxies: Collection, lease: Lease) -> None:
        self._proxies = proxies
        self._lease = lease

    def application(self) -> Starlette:
        """An ASGI application."""
        proxy = "/proxies/{proxy}"
        toxic = f"{proxy}/toxics/{{toxic}}"
        table: list[tuple[str, list[str], Handler]] = [
            ("/version", ["GET"], self._version),
            ("/reset", ["POST"], self._reset),
            ("/populate", ["POST"], self._populate),
            ("/proxies", ["GET"], self._list_proxies),
            ("/proxies", ["POST"], self._create_proxy),
            (proxy, ["GET"], self._show_proxy),
            (proxy, ["PATCH", "POST"], self._update_proxy),
            (proxy, ["DELETE"], self._delete_proxy),
            (f"{proxy}/toxics", ["GET"], self._list_toxics),
            (f"{proxy}/toxics", ["POST"], self._create_toxic),
            (toxic, ["GET"], self._show_toxic),
            (toxic, ["PATCH", "POST"], self._update_toxic),
            (toxic, ["DELETE"], self._delete_toxic),
            ("/stats", ["GET"], self._statistics),
            ("/lease", ["GET"], self._show_lease),
            ("/lease", ["POST"], self._arm_lease),
            ("/lease", ["DELETE"], self._disarm_lease),
        ]
        application = Starlette(
            routes=[Route(path, _routed(handler), methods=verbs) for path, verbs, handler in table],
            exception_handlers={HTTPException: _not_routed, Exception: _failed},
        )
        application.router.redirect_slashes = False
        return application

    async def _version(self, _request: Request) -> Response:
        return version()

    async def _reset(self, _request: Request) -> Response:
        failures = await self._proxies.reset("request")
        if failures:
            raise ApiError("; ".join(failures), 500)
        return empty()

    async def _populate(self, request: Request) -> Response:
        try:
            wanted = bodies.new_proxies(await _body(request))
        except ApiError as error:
            return _populated([], error)
        return _populated(*await self._proxies.populate(wanted))

    async def _list_proxies(self, _request: Request) -> Response:
        return json_answer({proxy.name: rendering.proxy(proxy) for proxy in self._proxies})

    async def _create_proxy(self, request: Request) -> Response:
        proxy = await self._proxies.create(bodies.new_proxy(await _body(request)))
        return json_answer(rendering.proxy(proxy), 201)

    async def _show_proxy(self, request: Request) -> Response:
        return json_answer(rendering.proxy(self._proxy(request)))

    async def _update_proxy(self, request: Request) -> Response:
        self._proxy(request)
        change = bodies.proxy_change(await _body(request))
        proxy = self._proxy(request)  # it may have been deleted while the body came in
        await self._proxies.update(proxy, change)
        return json_answer(rendering.proxy(proxy))

    async def _delete_proxy(self, request: Request) -> Response:
        self._proxies.delete(request.path_params["proxy"])
        return empty()

    async def _list_toxics(self, request: Request) -> Response:
        return json_answer(rendering.toxics(self._proxy(request).toxics))

    async def _create_toxic(self, request: Request) -> Response:
        self._proxy(request)
        body = await _body(request)
        proxy = self._proxy(request)
        installed = bodies.new_toxic(body, proxy.toxics)
        proxy.add_toxic(installed)
        shown = rendering.toxic(installed)
        log.event("toxic_added", proxy=proxy.name, toxic=shown)
        return json_answer(shown)

    async def _show_toxic(self, request: Request) -> Response:
        toxics = self._proxy(request).toxics
        return json_answer(rendering.toxic(toxics.get(request.path_params["toxic"])))

    async def _update_toxic(self, request: Request) -> Response:
        name = request.path_params["toxic"]
        self._proxy(request).toxics.get(name)
        body = await _body(request)
        proxy = self._proxy(request)
        installed = proxy.toxics.get(name)
        proxy.update_toxic(installed, *bodies.toxic_change(body, installed))
        shown = rendering.toxic(installed)
        log.event("toxic_updated", proxy=proxy.name, toxic=shown)
        return json_answer(shown)

    async def _delete_toxic(self, request: Request) -> Response:
        proxy = self._proxy(request)
        removed = proxy.remove_toxic(request.path_params["toxic"])
        log.event("toxic_removed", proxy=proxy.name, **rendering.removal(removed))
        return empty()

    async def _statistics(self, _request: Request) -> Response:
        return json_answer(rendering.statistics(self._proxies))

    async def _show_lease(self, _request: Request) -> Response:
        return json_answer(self._lease.state())

    async def _arm_lease(self, request: Request) -> Response:
        ttl_ms = bodies.lease_ttl_ms(await _body(request))
        try:
            self._lease.arm(ttl_ms)
        except ValueError as error:
            raise ApiError(str(error), 400) from None
        return json_answer(self._lease.state())

    async def _disarm_lease(self, _request: Request) -> Response:
        self._lease.disarm()
        log.event("lease_disarmed")
        return empty()

    def _proxy(self, request: Request) -> Proxy:
        return self._proxies.get(request.path_params["proxy"])


def _populated(proxies: list[Proxy], error: ApiError | None) -> Response:
    shown = [rendering.proxy(proxy) for proxy in proxies] or None
    if error is None:
        return json_answer({"proxies": shown}, 201)
    return json_answer(
        {"error": error.message, "status": error.status, "proxies": shown}, error.status
    )


def _routed(handler: Handler) -> Handler:
    """What every endpoint has in common: no browsers, errors as answers, a request id."""

    async def endpoint(request: Request) -> Response:
        answer = await _answer(handler, request)
        answer.headers[REQUEST_ID] = request_id()
        return answer

    return endpoint


async def _answer(handler: Handler, request: Request) -> Response:
    if request.headers.get("user-agent", "").startswith("Mozilla/"):
        return text("User agent not allowed", 403)
    try:
        return await handler(request)
    except ApiError as error:
        return error_answer(error)


async def _body(request: Request) -> bytes:
    parts = bytearray()
    try:
        async for part in request.stream():
            parts += part
            if len(parts) > MAX_BODY:
                raise ApiError(f"request body is larger than {MAX_BODY} bytes", 413)
    except ClientDisconnect:
        raise ApiError("client went away in the middle of the request", 400) from None
    return bytes(parts)


async def _not_routed(_request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)
    if exception.status_code == 405:
        return Response(status_code=405, headers=exception.headers)
    return text("404 page not found", 404)


async def _failed(_request: Request, _exception: Exception) -> Response:
    # The exception itself goes to the log; a client is told no more than that it is our fault.
    return error_answer(ApiError("internal error, see the log of this server", 500))

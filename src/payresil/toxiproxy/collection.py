"""All proxies of the server, and what can be done to them.

Names are looked up first, which takes time; from then on a change is made without giving way to
another request, so no request sees or meets half of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payresil.toxiproxy import log, rendering
from payresil.toxiproxy.address import Address, AddressError, resolve
from payresil.toxiproxy.bodies import NewProxy, ProxyChange
from payresil.toxiproxy.errors import ApiError, proxy_exists, proxy_not_found
from payresil.toxiproxy.proxy import Proxy


class Collection:
    """Proxies by name, in the order they were made. ``seed`` draws their toxics' lots."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._proxies: dict[str, Proxy] = {}

    def __iter__(self) -> Iterator[Proxy]:
        return iter(list(self._proxies.values()))

    def get(self, name: str) -> Proxy:
        """Raises ApiError 404."""
        if name not in self._proxies:
            raise proxy_not_found()
        return self._proxies[name]

    async def create(self, wanted: NewProxy) -> Proxy:
        """Raises ApiError 409 where the name is taken, 500 where it can't listen."""
        self._require_free(wanted.name)
        address = await _resolve(wanted.listen) if wanted.enabled else None
        self._require_free(wanted.name)  # somebody may have been quicker
        return self._make(wanted, address)

    async def update(self, proxy: Proxy, change: ProxyChange) -> None:
        """Raises ApiError 500 where it can't listen; it is then disabled, as in the original."""
        listen = proxy.listen if change.listen is None else change.listen
        try:
            before, wanted = await resolve(proxy.listen), await resolve(listen)
        except AddressError as error:
            raise ApiError(str(error), 500) from None
        if self._proxies.get(proxy.name) is not proxy:
            raise proxy_not_found()  # deleted while names were looked up
        enabled = proxy.enabled if change.enabled is None else change.enabled
        upstream = proxy.upstream_text if change.upstream is None else change.upstream
        if wanted != before or upstream != proxy.upstream_text:
            proxy.stop()
            proxy.listen = listen if wanted.port == 0 else str(wanted)
            proxy.set_upstream(upstream)
        if enabled:
            _start(proxy, wanted)
        elif proxy.enabled:
            proxy.stop()
        log.event(
            "proxy_updated",
            proxy=proxy.name,
            listen=proxy.listen,
            upstream=proxy.upstream_text,
            enabled=proxy.enabled,
        )

    def delete(self, name: str) -> None:
        """Raises ApiError 404."""
        self.get(name).stop()
        del self._proxies[name]
        log.event("proxy_deleted", proxy=name)

    async def populate(self, wanted: Sequence[NewProxy]) -> tuple[list[Proxy], ApiError | None]:
        """Make or replace each; stop at the first that can't listen, and keep those before it.

        A proxy that has the same address and upstream already is left as it is.
        """
        done: list[Proxy] = []
        for one in wanted:
            try:
                done.append(await self._put(one))
            except ApiError as error:
                return done, error
        return done, None

    async def _put(self, wanted: NewProxy) -> Proxy:
        address = await _resolve(wanted.listen)
        present = self._proxies.get(wanted.name)
        if present is not None:
            same_listen = address.port != 0 and present.listen in (str(address), wanted.listen)
            if same_listen and present.upstream_text == wanted.upstream:
                return present
            self.delete(wanted.name)
        return self._make(wanted, address if wanted.enabled else None)

    async def reset(self, cause: str) -> list[str]:
        """Remove all toxics, then enable every proxy; returns those that can't start, and why.

        The toxics are gone when this first gives way.
        """
        for proxy in self:
            for removed in proxy.clear_toxics():
                log.event("toxic_removed", proxy=proxy.name, **rendering.removal(removed))
        failures = []
        for proxy in self:
            try:
                await self._enable(proxy)
            except ApiError as error:
                failures.append(f"{proxy.name}: {error.message}")
        log.event("reset", cause=cause, failures=failures)
        return failures

    async def _enable(self, proxy: Proxy) -> None:
        if not proxy.enabled:
            address = await _resolve(proxy.listen)
            if self._proxies.get(proxy.name) is proxy:
                _start(proxy, address)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        for proxy in self:
            proxy.stop()

    def _require_free(self, name: str) -> None:
        if name in self._proxies:
            raise proxy_exists()

    def _make(self, wanted: NewProxy, address: Address | None) -> Proxy:
        proxy = Proxy(wanted.name, wanted.listen, wanted.upstream, self._seed)
        if address is not None:
            _start(proxy, address)
        self._proxies[proxy.name] = proxy
        log.event(
            "proxy_created",
            proxy=proxy.name,
            listen=proxy.listen,
            upstream=proxy.upstream_text,
            enabled=proxy.enabled,
        )
        return proxy


async def _resolve(listen: str) -> Address:
    try:
        return await resolve(listen)
    except AddressError as error:
        raise ApiError(f"listen tcp: {error}", 500) from None


def _start(proxy: Proxy, address: Address) -> None:
    try:
        proxy.start(address)
    except OSError as error:
        raise ApiError(str(error), 500) from None

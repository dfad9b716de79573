"""The one place that knows the package ``toxiproxy-python``, and that copes with its defects.

Version 0.1.1 keeps the server's address in class globals, sends names unescaped, has no time-outs,
drops the connections of a proxy it re-creates, lets a 500 through as if it were an answer, and
accepts a misspelt attribute as 0. Hence: one lock around every call, safe names, a session of
requests with time-outs in place of the module's functions, no `populate`, and callers that read
back what they set (`links`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import requests
import toxiproxy.api
from toxiproxy import Proxy, Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from payresil.core.protocols import EnvironmentBroke, Toxic

#: Seconds to connect and to answer. Loopback answers in milliseconds, but closing many connections
#: on a busy machine may take a while.
_TIMEOUTS_S = (2.0, 10.0)

#: The package would take it without being told, but by accident.
_ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class ProxyState:
    """What one proxy does: whether it takes connections, and its toxics by name."""

    enabled: bool = True
    toxics: Mapping[str, Toxic] = field(default_factory=dict)


class Proxies(Protocol):
    """What `links` needs of a Toxiproxy. Every method raises `EnvironmentBroke` on failure."""

    def create(self, name: str, upstream: str, listen: str) -> str:
        """A new proxy from `listen` to `upstream`; the ``host:port`` that it listens on."""
        ...

    def state(self, name: str) -> ProxyState:
        """What the proxy does now."""
        ...

    def add(self, name: str, toxic_name: str, toxic: Toxic) -> None:
        """Add a toxic."""
        ...

    def remove(self, name: str, toxic_name: str) -> None:
        """Remove a toxic."""
        ...

    def enable(self, name: str, enabled: bool) -> None:
        """Take connections, or refuse them and close the open ones."""
        ...

    def reset(self) -> None:
        """Enable every proxy and remove every toxic."""
        ...

    def renew_lease(self, ttl_ms: int) -> None:
        """Have the server reset by itself, unless renewed within `ttl_ms`."""
        ...


class _Session(requests.Session):
    """Stands in for the module ``requests`` inside ``toxiproxy.api``.

    A connection of its own for every call: a kept one could be closed by the server just as it is
    used, and no proxy of the caller's environment belongs between here and loopback.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.headers["Connection"] = "close"

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        options.setdefault("timeout", _TIMEOUTS_S)
        response = super().request(method, url, *args, **options)
        if response.status_code >= 500:
            raise requests.HTTPError(f"{response.status_code} {response.text.strip()}")
        return response


toxiproxy.api.requests = _Session()

#: Guards the class globals of the package.
_package = threading.Lock()


class PackageProxies:
    """`Proxies` over ``toxiproxy-python``; several servers may be driven from one process."""

    def __init__(self, host: str, port: int) -> None:
        """`host` and `port` of the server's API."""
        self._host, self._port = host, port
        self._lease = _Session()

    def create(self, name: str, upstream: str, listen: str = _ANY_PORT) -> str:
        """A new proxy from `listen` to `upstream`; the ``host:port`` that it listens on."""
        with self._server(f"create {name}") as server:
            return str(server.create(name=name, upstream=upstream, listen=listen).listen)

    def state(self, name: str) -> ProxyState:
        """What the proxy does now."""
        with self._server(f"read {name}") as server:
            proxy = server.get_proxy(name)
            if proxy is None:
                raise EnvironmentBroke(f"toxiproxy: there is no proxy {name}")
            toxics = proxy.toxics().values()
            return ProxyState(proxy.enabled, {each.name: _toxic(each) for each in toxics})

    def add(self, name: str, toxic_name: str, toxic: Toxic) -> None:
        """Add a toxic."""
        with self._proxy(name, f"add {toxic.type} to") as proxy:
            proxy.add_toxic(
                name=toxic_name,
                type=toxic.type,
                stream=toxic.stream,
                toxicity=toxic.toxicity,
                attributes=dict(toxic.attributes),
            )

    def remove(self, name: str, toxic_name: str) -> None:
        """Remove a toxic."""
        with self._proxy(name, f"remove {toxic_name} from") as proxy:
            proxy.destroy_toxic(toxic_name)

    def enable(self, name: str, enabled: bool) -> None:
        """Take connections, or refuse them and close the open ones."""
        with self._proxy(name, "enable" if enabled else "disable") as proxy:
            # Not `down()`: left again, it enables a proxy that was disabled before.
            proxy.enable() if enabled else proxy.disable()

    def reset(self) -> None:
        """Enable every proxy and remove every toxic."""
        with self._server("reset") as server:
            server.reset()

    def renew_lease(self, ttl_ms: int) -> None:
        """Have the server reset by itself, unless renewed within `ttl_ms`.

        An endpoint of the own server, so not in the package. It takes no lock: a slow call must
        not keep the heartbeat waiting.
        """
        url = f"http://{self._host}:{self._port}/lease"
        try:
            self._lease.post(url, json={"ttl_ms": ttl_ms}).raise_for_status()
        except requests.RequestException as error:
            raise EnvironmentBroke(f"toxiproxy: the lease is not renewed: {error}") from error

    def keeps_leases(self) -> bool:
        """Whether the server heals by itself when it is left alone, as the own one does.

        Raises:
            EnvironmentBroke: when it does not answer.
        """
        try:
            answer = self._lease.get(f"http://{self._host}:{self._port}/lease")
        except requests.RequestException as error:
            raise EnvironmentBroke(f"toxiproxy: it does not answer: {error}") from error
        return bool(answer.status_code != requests.codes.not_found)

    @contextmanager
    def _server(self, what: str) -> Iterator[Any]:
        with _package:
            server = Toxiproxy()
            server.update_api_consumer(self._host, self._port)
            try:
                yield server
            except (ProxyExists, NotFound, InvalidToxic) as error:
                raise EnvironmentBroke(f"toxiproxy: cannot {what}: {_said(error)}") from error
            except (requests.RequestException, KeyError, ValueError) as error:
                raise EnvironmentBroke(f"toxiproxy: cannot {what}: {error}") from error

    @contextmanager
    def _proxy(self, name: str, what: str) -> Iterator[Proxy]:
        """The proxy as an object to call, without asking what it does: that is a call more."""
        with self._server(f"{what} {name}"):
            yield Proxy(name=name, upstream="", enabled=True, listen="")


def _toxic(read: Any) -> Toxic:
    return Toxic(read.type, read.stream, dict(read.attributes), float(read.toxicity))


def _said(error: Exception) -> str:
    """The body of the answer, which the package hands over as bytes."""
    body = error.args[0] if error.args else b""
    return body.decode(errors="replace").strip() if isinstance(body, bytes) else str(body)

"""Locust's side of the load: its users, its HTTP client, its runner.

Importing this module imports Locust, which patches the standard library for gevent. Only the
generator's process may do that.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any, ClassVar, Protocol

import gevent
from geventhttpclient._parser import HTTPParseError
from geventhttpclient.response import HTTPConnectionClosed
from locust import FastHttpUser, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastHttpSession
from locust.exception import StopUser
from locust.runners import LocalRunner

from payresil.core.mapping import Request
from payresil.core.plan import Arrival
from payresil.workloads.logs import note
from payresil.workloads.transport import Reply, Transport, error_name

_log = logging.getLogger(__name__)

#: Customers that are there from the start, and are kept when nothing needs them.
FEW = 16
_ANY_STATUS = frozenset(range(1000))
_FAILURES: tuple[type[BaseException], ...] = (*FAILURE_EXCEPTIONS, ValueError)


class Shop(Protocol):
    """Where customers get what to do."""

    def wait_for_arrival(self) -> Arrival | None:
        """The next arrival for this customer, at the time it is due; None: go home."""
        ...

    def serve(self, arrival: Arrival, transport: Transport) -> None:
        """Live through one arrival's journey."""
        ...


class Customer(FastHttpUser):
    """A Locust user who takes arrivals from the schedule instead of waiting between tasks."""

    shop: ClassVar[Shop]
    context_of_run: ClassVar[ssl.SSLContext | None] = None

    insecure = False
    max_redirects = 0
    max_retries = 0
    concurrency = 8  # connections of one customer, for requests sent at the same time
    default_headers = {"Accept-Encoding": "identity"}  # noqa: RUF012 - as Locust declares it

    @staticmethod
    def ssl_context_factory(cafile: str | None = None) -> ssl.SSLContext:
        """One context for all: loading a CA costs more than a payment."""
        if Customer.context_of_run is None:
            Customer.context_of_run = ssl.create_default_context(cafile=cafile)
        return Customer.context_of_run

    @task
    def buy(self) -> None:
        """Take arrivals until there are no more."""
        transport = SessionTransport(self.client)
        while (arrival := self.shop.wait_for_arrival()) is not None:
            self.shop.serve(arrival, transport)
        transport.close()
        raise StopUser


class SessionTransport:
    """Locust's FastHttpSession as a transport; connections are kept alive between requests."""

    def __init__(self, session: FastHttpSession) -> None:
        agent: Any = session.client
        agent.valid_response_codes = _ANY_STATUS  # else it drops the bodies of 4xx answers
        agent.cookiejar = None
        self._session: Any = session  # its annotations allow no bytes

    def send(self, request: Request, timeout_s: float) -> Reply:
        """See `Transport.send`. The time-out covers connecting, sending and the whole answer."""
        error: BaseException | None
        try:
            with gevent.Timeout(timeout_s):
                response = self._session.request(
                    request.method,
                    request.path,
                    data=request.body or None,
                    headers=request.headers,
                    catch_response=True,  # the outcome decides what Locust's statistics get
                )
            error = response.request_meta["exception"]
            if error is None:
                return Reply(response.status_code, response.headers, response.content)
        except _FAILURES as failure:
            error = failure
        self.close()
        return Reply(None, error=_error_name(error))

    def close(self) -> None:
        """Drop the connections: after an error none of them is worth keeping."""
        self._session.client.clientpool.close()


def _error_name(error: BaseException) -> str:
    original = getattr(error, "original", None)  # the client wraps what it would retry
    if isinstance(original, BaseException):
        error = original
    if isinstance(error, gevent.Timeout):
        return "timeout"
    if isinstance(error, HTTPConnectionClosed):
        return "closed"
    if isinstance(error, OSError):
        return error_name(error)
    return "malformed" if isinstance(error, HTTPParseError | ValueError) else "network"


class Crowd:
    """Lets in more customers when nobody is free, up to a limit."""

    def __init__(self, runner: LocalRunner, limit: int) -> None:
        self._runner = runner
        self._limit = limit
        self._warned = False

    def grow(self, waiting: int) -> None:
        """`waiting` arrivals found nobody free."""
        count = self._runner.user_count
        more = min(self._limit - count, max(waiting, count // 8, 4))
        if more > 0:
            self._runner.spawn_users({Customer.__name__: more})
        elif not self._warned:
            self._warned = True
            note(
                _log, logging.WARNING, "users_exhausted", users=count, waiting=waiting,
                meaning="arrivals now start late; see their lateness",
            )  # fmt: skip

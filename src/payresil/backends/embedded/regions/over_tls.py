"""One request over whatever link leads to who answers it, and whether a link leads anywhere."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from payresil.backends.embedded.certificates import SERVER_NAME
from payresil.core.protocols import Unreachable

#: Seconds that an operator waits for an answer.
PATIENCE_S = 1.0


#: What a client of PostgreSQL may begin with; whoever is there says a byte, or hangs up.
_MAY_I = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def knock(address: str, timeout_s: float = PATIENCE_S) -> None:
    """Whether the way to ``host:port`` is open, be it that nobody is at its end.

    Raises:
        Unreachable: when it is silent.
    """
    _first_byte(address, timeout_s)


def answers(address: str, timeout_s: float = PATIENCE_S) -> bool:
    """Whether there is a PostgreSQL at ``host:port`` and the way to it is open."""
    try:
        return _first_byte(address, timeout_s) != b""
    except Unreachable:
        return False


def _first_byte(address: str, timeout_s: float) -> bytes:
    """Nothing, where somebody, or the machine itself, has hung up."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_MAY_I)
            return connection.recv(1)
    except TimeoutError as error:
        raise Unreachable(f"the way to {address} is silent") from error
    except OSError:
        return b""


def ask(
    address: str,
    context: ssl.SSLContext | None,
    request: str,
    headers: Mapping[str, str],
    *,
    body: Any = None,
    timeout_s: float = PATIENCE_S,
) -> tuple[int, bytes]:
    """Status and body of the answer to ``METHOD /path`` from ``host:port``.

    `context` None is for plain HTTP.

    Raises:
        Unreachable: when there is no answer in time.
    """
    host, _, port = address.rpartition(":")
    method, _, path = request.partition(" ")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
    try:
        plain = socket.create_connection((host, int(port)), timeout_s)
        connection.sock = (
            plain if context is None else context.wrap_socket(plain, server_hostname=SERVER_NAME)
        )
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Host": SERVER_NAME, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        words = f"no answer to {request} from {address}: {str(error) or type(error).__name__}"
        raise Unreachable(words) from error
    finally:
        connection.close()

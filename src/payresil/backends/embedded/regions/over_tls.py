"""One request to a region's balancer, over whatever link leads there."""

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

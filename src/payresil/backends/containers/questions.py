"""Whether a container serves, asked through its published port.

The engine's own proxy takes connections to a published port before anybody serves on it, so that a
connection can be made says nothing.
"""

from __future__ import annotations

import http.client
import socket
import struct
import urllib.request

from docker.models.containers import Container

from payresil.backends.containers.engine import asked

_ASK_S = 2.0

#: No proxy of the caller's environment in between.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_PROTOCOL_3 = 196608
_AUTHENTICATION = b"R"


def answers_200(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with _opener.open(url, timeout=_ASK_S) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException, ValueError):  # not yet
        return False


def takes_clients(address: str, user: str, database: str) -> bool:
    """Whether a PostgreSQL asks a client for its password, rather than to come back later."""
    host, _, port = address.rpartition(":")
    words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database))
    message = struct.pack("!I", _PROTOCOL_3) + words + b"\0"
    try:
        with socket.create_connection((host, int(port)), _ASK_S) as connection:
            connection.sendall(struct.pack("!I", len(message) + 4) + message)
            return connection.recv(1) == _AUTHENTICATION
    except OSError:
        return False


def is_healthy(container: Container) -> bool:
    """Whether a container passes its own health check; where it has none, whether it runs.

    Raises:
        EnvironmentBroke: when the engine does not say.
    """
    with asked(f"{container.name} cannot be looked at"):
        container.reload()
    state = container.attrs["State"]
    health = state.get("Health")
    if health is None or health["Status"] in ("none", ""):
        return bool(state["Running"])
    return bool(health["Status"] == "healthy")

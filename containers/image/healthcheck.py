"""Whether the role that this container plays is served: exit status 0, or 1 and the reason.

Run every few seconds beside it, so it is kept cheap: a socket, and no more of the library.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

RUN = Path("/run/payresil")

_TIMEOUT_S = 2.0
_ADDRESS = "127.0.0.1"

#: Where Caddy's metrics are in the stack's configurations; PAYRESIL_HEALTH_PORT moves it.
_CADDY_METRICS = 2019
_WATCHER = 9400


class Unhealthy(Exception):
    """It does not serve; the message says what was seen."""


def get(port: int, path: str) -> None:
    """Raise `Unhealthy` unless the path answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {_ADDRESS}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((_ADDRESS, port), _TIMEOUT_S) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                status = answer.readline().split()
    except OSError as error:
        raise Unhealthy(f"port {port} does not answer: {error}") from None
    if len(status) < 2 or status[1] != b"200":
        raise Unhealthy(f"{path} answers {b' '.join(status).decode(errors='replace')}")


def _ready(key: str) -> int:
    """A port out of the file that the server wrote once it served."""
    try:
        port: int = json.loads((RUN / "ready.json").read_text())[key]
    except FileNotFoundError:
        raise Unhealthy("it does not serve yet") from None
    return port


def _port(default: int) -> int:
    return int(os.environ.get("PAYRESIL_HEALTH_PORT") or default)


def _postgres() -> None:
    # Over TCP: while a cluster is being made, it serves on a socket.
    if subprocess.run(["pg_isready", "-q", "-h", _ADDRESS], check=False).returncode != 0:
        raise Unhealthy("the database does not take connections")


def _serves_nothing() -> None:
    """It is well while it runs."""


#: Role → what to look at. A role that is not here serves nothing.
CHECKS: Mapping[str, Callable[[], None]] = {
    "service": lambda: get(_ready("port"), "/readyz"),
    "psp": lambda: get(_ready("control_port"), "/metrics"),
    "toxiproxy": lambda: get(_ready("port"), "/version"),
    "caddy": lambda: get(_port(_CADDY_METRICS), "/metrics"),
    "postgres": _postgres,
    "watcher": lambda: get(_port(_WATCHER), "/health"),
}


def main() -> int:
    """The exit status."""
    try:
        role = (RUN / "role").read_text()
        CHECKS.get(role, _serves_nothing)()
    except (Unhealthy, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

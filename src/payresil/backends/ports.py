"""Ports for programs that cannot be told to take any free one and say which."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


class HeldPort:
    """A free port of loopback, kept from everybody who does not ask for it by number.

    A socket is bound to it that never listens. Linux gives its port to nobody who asks for just
    any port, neither to listen nor to connect from, but to a program that names it and sets
    SO_REUSEADDR, as PostgreSQL and Caddy do (Caddy sets SO_REUSEPORT too, hence both here). So
    parallel runs do not take each other's ports between the choice and the start, and a node that
    was killed finds its port again.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{LOOPBACK}:{self.number}"

    def release(self) -> None:
        """Stop keeping it."""
        self._socket.close()

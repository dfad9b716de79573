"""The harness's own servers: ``python -m MODULE --port 0 --ready-file …``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from payresil.backends.embedded.program import Program, plain_environment, ready_ports
from payresil.backends.ports import LOOPBACK


class OwnServer:
    """One of them. It takes free ports the first time, and the same ones when started again."""

    def __init__(
        self,
        module: str,
        ready_file: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        ports: tuple[str, ...] = ("port",),
    ) -> None:
        """`ports` are the keys of its ready file; ``control_port`` is given as --control-port."""
        self._module = module
        self._ready_file = ready_file
        self._options = options
        self._env = dict(env or {})
        self._ports = dict.fromkeys(ports, 0)

    def port(self, key: str) -> int:
        """One of the ports that it serves on, once it does."""
        return self._ports[key]

    def address(self, key: str) -> str:
        """``host:port`` of one of them."""
        return f"{LOOPBACK}:{self._ports[key]}"

    def program(self, _port: int) -> Program:
        """How to start it."""
        self._ready_file.unlink(missing_ok=True)
        ports = [
            part
            for key, number in self._ports.items()
            for part in (f"--{key.replace('_', '-')}", str(number))
        ]
        # -P: what lies in the folder that payresil was started in is no module of ours.
        argv = (sys.executable, "-P", "-m", self._module, "--host", LOOPBACK, *ports)
        return Program(
            argv=(*argv, "--ready-file", str(self._ready_file), *self._options),
            env=plain_environment(**self._env),
            port_when_ready=lambda _pid: self._read(),
        )

    def _read(self) -> int | None:
        served = ready_ports(self._ready_file)
        if served is None:
            return None
        self._ports = {key: served[key] for key in self._ports}
        return self._ports["port"]

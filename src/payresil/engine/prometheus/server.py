"""A Prometheus of this run's own: how to start the program, and what it is told to scrape."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import requests

from payresil.backends.embedded.program import Program, plain_environment
from payresil.backends.launcher import unprivileged_user
from payresil.backends.ports import HeldPort
from payresil.backends.prometheus_file import configuration, options

_READY_S = 1.0


class PrometheusServer:
    """Its folder, its port, its configuration. Nothing is started here."""

    def __init__(
        self, executable: str, folder: Path, targets: Mapping[str, str], rules: Path | None
    ) -> None:
        """`targets` is node → URL of its metrics; `rules` a file of recording and alert rules.

        `folder` is made, and becomes the property of who will run it.
        """
        folder.mkdir(mode=0o700)
        self.port = HeldPort()
        self._executable = executable
        self._data = folder / "data"
        self._config = folder / "prometheus.yml"
        # Copied: where the system file lies, the user who runs it may not be let in.
        copied = None if rules is None else shutil.copyfile(rules, folder / "rules.yml")
        self._config.write_text(configuration(targets, copied))
        user = unprivileged_user()
        if user is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, *user)

    @property
    def url(self) -> str:
        """Where it answers once it is started."""
        return f"http://{self.port.address}"

    def program(self, port: int) -> Program:
        """How to start it on `port`, the one that is held."""
        return Program(
            argv=(
                self._executable,
                *options(self._config, self._data, self.port.address),
            ),
            env=plain_environment(GOMAXPROCS="1"),
            port_when_ready=lambda _pid: port if self._serves() else None,
            unprivileged=True,
            leave_signal=signal.SIGKILL,  # what it answered is on record, and its folder goes
        )

    def close(self) -> None:
        """Give its port back."""
        self.port.release()

    def _serves(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy for the web must not get between us
                return session.get(f"{self.url}/-/ready", timeout=_READY_S).ok
        except requests.RequestException:  # refused: not yet
            return False

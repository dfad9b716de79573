"""A Prometheus of this run's own: how to start the program, and what it is told to scrape."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml

from payresil.backends.embedded.program import Program, plain_environment
from payresil.backends.launcher import unprivileged_user
from payresil.backends.ports import HeldPort
from payresil.core.topology import Node

_READY_S = 1.0
_EVERY = "1s"
#: Longer than any run; its folder is removed after it.
_RETENTION = "2d"


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
        self._config.write_text(yaml.safe_dump(configuration(targets, copied), sort_keys=False))
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
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self._data}",
                f"--storage.tsdb.retention.time={_RETENTION}",
                f"--web.listen-address={self.port.address}",
                "--log.level=warn",
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


def configuration(targets: Mapping[str, str], rules: Path | None) -> dict[str, Any]:
    """Scrape every node once a second, past the links, under its name as the label ``node``."""
    return {
        "global": {
            "scrape_interval": _EVERY,
            "scrape_timeout": _EVERY,
            "evaluation_interval": _EVERY,
        },
        "rule_files": [] if rules is None else [str(rules)],
        "scrape_configs": [
            {"job_name": role, "static_configs": targets_of}
            for role, targets_of in _by_role(targets).items()
        ],
    }


def _by_role(targets: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for node, url in targets.items():
        parts = urlsplit(url)
        labels = {
            "node": node,
            "__scheme__": parts.scheme,
            "__metrics_path__": parts.path or "/",
        }
        jobs = found.setdefault(Node.parse(node).role, [])
        jobs.append({"targets": [parts.netloc], "labels": labels})
    return found

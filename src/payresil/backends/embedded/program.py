"""What there is to know of a program before it is started."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: What of the caller's environment the harness's own nodes see. The rest is nothing to them, and
#: some of it (PGDATA, HTTP_PROXY, …) would change what they do.
_KEPT = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"),
)

_LOOPBACK_NAMES = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a node, and how to see that it serves.

    `port_when_ready` is asked every few milliseconds, with the process id: the port that the node
    serves on, or None while it does not.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    port_when_ready: Callable[[int], int | None]
    unprivileged: bool = False
    stop_signal: int = (
        signal.SIGTERM
    )  # asks for an orderly end, after which it can be started again
    leave_signal: int | None = None  # asks for one after which it need not, if that is quicker
    end_signal: int = signal.SIGKILL  # what it gets when the harness dies
    folder: Path | None = None  # where it is started; None: where payresil was


def plain_environment(**more: str) -> dict[str, str]:
    """The environment of one of the harness's own nodes."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **more}


def callers_environment(**more: str) -> dict[str, str]:
    """The caller's whole environment, but for a web proxy between the nodes."""
    names = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "", _LOOPBACK_NAMES]
    no_proxy = ",".join(filter(None, names))
    return {**os.environ, "NO_PROXY": no_proxy, "no_proxy": no_proxy, **more}


def ready_ports(path: Path) -> Mapping[str, int] | None:
    """What a node wrote into its ready file; None while there is none.

    Nodes rename the file into place, so it is there as a whole or not at all.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    ports: Mapping[str, int] = json.loads(text)
    return ports

"""A Prometheus as a container: it looks at every node where that is in its network."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from payresil.backends.containers.recipe import Recipe
from payresil.backends.prometheus_file import configuration, options

PORT = 9090

_FILES = PurePosixPath("/etc/payresil")
_CONFIG, _RULES = _FILES / "prometheus.yml", _FILES / "rules.yml"
#: The official image keeps its samples there, too, and whoever it runs as may write in it.
_DATA = PurePosixPath("/prometheus")


def prometheus_recipe(image: str, targets: Mapping[str, str], rules: Path | None) -> Recipe:
    """How to make it; its image's entry point is the program.

    `targets` is node → URL of its metrics in its network; `rules` a file of recording and alert
    rules on this machine.
    """
    files = {str(_CONFIG): configuration(targets, None if rules is None else _RULES).encode()}
    if rules is not None:
        files[str(_RULES)] = rules.read_bytes()
    return Recipe(
        image,
        options(_CONFIG, _DATA, f":{PORT}"),
        {"GOMAXPROCS": "1"},
        files=files,
        volumes=(str(_DATA),),
        leave_signal=signal.SIGKILL,  # what it answered is on record, and its samples go
    )

"""What there is to know of a container before it is made."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image and what it is told. Files are put into the container: the engine may be remote."""

    image: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None  # the image's own where it is None
    files: Mapping[str, bytes] = field(default_factory=dict)  # by their path in the container
    folders: Mapping[str, Path] = field(default_factory=dict)  # likewise: what to copy, with modes
    volumes: tuple[str, ...] = ()  # folders that are written with care, and so not in a layer
    stop_signal: signal.Signals = signal.SIGTERM  # asks for an orderly end, before another start
    leave_signal: signal.Signals | None = None  # asks for one for good, if that is quicker

"""Intent numbers are promised on disk before they are used.

A number that was promised and has no row in the end is *unknown*: its row was lost with the
process. Without the promise it would never be missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from payresil.core.tables import Recorder

#: Runs its argument elsewhere, so that the caller's clock goes on; returns when it is done.
Aside = Callable[[Callable[[], Any]], Any]


def _here(call: Callable[[], Any]) -> Any:
    return call()


class Reservations:
    """Blocks of numbers, each durable before it is used."""

    def __init__(self, folder: Path, source: str, *, aside: Aside = _here) -> None:
        """`source` names the shard; `aside` is where waiting for the disk happens."""
        self._recorder = Recorder(folder, "reserved", source, fsync=True)
        self._source = source
        self._aside = aside
        _sync_folder(folder)

    def reserve(self, first: int, count: int) -> None:
        """Promise `count` numbers from `first` on; returns once that is on disk."""
        self._recorder.append((first, count, self._source))
        self._aside(self._recorder.flush)

    def close(self) -> None:
        """End the stream."""
        self._recorder.close()


def _sync_folder(folder: Path) -> None:
    """Make the new file's name durable too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

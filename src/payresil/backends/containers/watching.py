"""Watches one start of a container: copies what it says into a log, and knows when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker.errors
import requests
from docker.models.containers import Container

_BROKEN = (docker.errors.DockerException, requests.RequestException, OSError, ValueError)


class Watch:
    """One that watches nothing has not ended."""

    def __init__(self) -> None:
        self.state: Mapping[str, Any] = {}
        self._ended = threading.Event()

    @classmethod
    def over(
        cls,
        container: Container,
        words: Iterable[bytes],
        log: Path,
        on_end: Callable[[Mapping[str, Any]], None],
    ) -> Watch:
        """Watch a container that was started; `words` is what it says from now on.

        `on_end` is told the state in which it ended, from another thread.
        """
        watch = cls()
        thread = threading.Thread(
            target=watch._run,
            args=(container, words, log, on_end),
            name=f"watch {log.stem}",
            daemon=True,
        )
        thread.start()
        return watch

    @property
    def ended(self) -> bool:
        """Whether it has ended; everything that it said is in the log then."""
        return self._ended.is_set()

    @property
    def out_of_memory(self) -> bool:
        """Whether it ended because the kernel killed it for want of memory."""
        return self.ended and bool(self.state.get("OOMKilled"))

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within so many seconds."""
        return self._ended.wait(timeout_s)

    def _run(
        self,
        container: Container,
        words: Iterable[bytes],
        log: Path,
        on_end: Callable[[Mapping[str, Any]], None],
    ) -> None:
        with suppress(*_BROKEN), log.open("ab") as file:
            for piece in words:
                file.write(piece)
                file.flush()
        with suppress(*_BROKEN):  # removed meanwhile, or the engine is gone: it has ended
            container.wait(timeout=None)  # what it says may end before it does
            self.state = container.client.api.inspect_container(container.id)["State"]
        self._ended.set()
        on_end(self.state)

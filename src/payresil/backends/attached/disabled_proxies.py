"""Which of somebody else's proxies a run has disabled, in a file that the guard reads as well."""

from __future__ import annotations

import json
import os
from pathlib import Path

from payresil.core.protocols import EnvironmentBroke


class DisabledProxies:
    """Names of proxies, in a file that outlives the harness. One process writes.

    Every method raises `EnvironmentBroke` when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """`path` need not exist: then there are none."""
        self.path = path

    def names(self) -> frozenset[str]:
        """All that were added, and not removed since."""
        try:
            return frozenset(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError) as error:
            raise EnvironmentBroke(f"which proxies were disabled is not known: {error}") from error

    def add(self, name: str) -> None:
        """Write down a proxy that is about to be disabled."""
        self._write(self.names() | {name})

    def remove(self, name: str) -> None:
        """Forget a proxy that was enabled again."""
        self._write(self.names() - {name})

    def _write(self, names: frozenset[str]) -> None:
        new = self.path.with_suffix(".new")
        try:
            new.write_text(json.dumps(sorted(names)), encoding="utf-8")
            os.replace(new, self.path)  # so that a kill leaves one list or the other
        except OSError as error:
            raise EnvironmentBroke(f"disabled proxies cannot be written down: {error}") from error

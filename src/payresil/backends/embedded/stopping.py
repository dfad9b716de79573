"""Stops nodes: all of a wave at once, asked first and killed when they do not listen."""

from __future__ import annotations

import time
from collections.abc import Iterable

from payresil.backends.embedded.parts import Part

#: Seconds that a wave gets. Everything a run is judged by was read before.
_WAVE_S = 1.0


def stop(*waves: Iterable[Part]) -> None:
    """Stop every node of the first wave, then of the next, so that nobody calls who is gone."""
    for wave in waves:
        nodes = tuple(wave)
        for node in nodes:
            node.ask_to_leave()
        deadline_s = time.monotonic() + _WAVE_S
        for node in nodes:
            node.await_leave(deadline_s)

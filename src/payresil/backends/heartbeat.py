"""Keeps the leases on faults alive: when the harness dies, they run out and the faults heal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from payresil.core.protocols import EnvironmentBroke

#: A lease is renewed so often that one late renewal does not end a fault.
PERIOD_S = 1.0
TTL_MS = 5000

#: For one that is killed or paused by a fault, and must find its own faults when it comes back.
ABSENT_TTL_MS = 600_000


class Heartbeat:
    """Renews leases from a thread of its own, from the first moment until closed."""

    def __init__(
        self,
        renewals: Mapping[str, Callable[[int], None]],
        *,
        period_s: float = PERIOD_S,
        ttl_ms: int = TTL_MS,
    ) -> None:
        """`renewals` is, by the name of who keeps the lease, a call that renews it for so many ms.

        Raises:
            EnvironmentBroke: when the first renewal fails.
        """
        self._renewals = dict(renewals)
        self._period_s = period_s
        self._ttl_ms = ttl_ms
        self._failures: dict[str, tuple[float, str]] = {}  # since when (s, monotonic), and why
        self._away: set[str] = set()
        self._stop = threading.Event()
        for renew in self._renewals.values():
            renew(ttl_ms)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `EnvironmentBroke` when a lease has run out because it could not be renewed."""
        for name, (since_s, reason) in tuple(self._failures.items()):
            if time.monotonic() - since_s > self._ttl_ms / 1000:
                raise EnvironmentBroke(f"{name}: the lease on its faults has run out: {reason}")

    def expect_silence(self, name: str) -> None:
        """Whoever keeps this lease is about to be killed or paused: have it last, and do not ask.

        Raises:
            EnvironmentBroke: when it cannot be renewed for so long.
        """
        if name in self._renewals and name not in self._away:
            self._renewals[name](ABSENT_TTL_MS)
            self._away.add(name)

    def expect_answers(self, name: str) -> None:
        """It is back."""
        self._away.discard(name)

    def close(self) -> None:
        """Stop renewing."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            for name, renew in self._renewals.items():
                if name not in self._away:
                    self._beat(name, renew)

    def _beat(self, name: str, renew: Callable[[int], None]) -> None:
        try:
            renew(self._ttl_ms)
        except EnvironmentBroke as error:
            if name in self._away:
                return  # it went while we asked
            since_s = self._failures.get(name, (time.monotonic(), ""))[0]
            self._failures[name] = since_s, str(error)
        else:
            self._failures.pop(name, None)

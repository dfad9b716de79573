"""The circuit breaker in front of the PSP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from pybreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
)

#: The breaker's state as a number, for a gauge.
STATES = {STATE_CLOSED: 0, STATE_HALF_OPEN: 1, STATE_OPEN: 2}


class CircuitOpenError(Exception):
    """The request was not sent, because the PSP has been failing."""


class Circuit:
    """Opens after ``failures`` outages in a row; after ``open_ms`` it lets few requests try.

    ``on_change`` gets the new state's name.
    """

    def __init__(
        self,
        failures: int,
        open_ms: int,
        is_outage: Callable[[BaseException], bool],
        on_change: Callable[[str], None],
        trials: int = 2,
    ) -> None:
        self._trials = trials
        self._trying = 0
        self._open_s = open_ms / 1000
        self._opened = 0.0
        self._on_change = on_change
        self._breaker = CircuitBreaker(
            fail_max=failures,
            reset_timeout=open_ms / 1000,
            exclude=[lambda error: not is_outage(error)],
            listeners=[_Listener(self._changed)],
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> str:
        return self._breaker.current_state

    @property
    def lets_through(self) -> bool:
        """Would a request be sent now?"""
        if self._breaker.current_state == STATE_OPEN:
            return monotonic() >= self._opened + self._open_s
        return self._trying < self._trials or self._breaker.current_state == STATE_CLOSED

    def _changed(self, state: str) -> None:
        if state == STATE_OPEN:
            self._opened = monotonic()
        self._on_change(state)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one request. Raises CircuitOpenError where it must not be sent."""
        if self._breaker.current_state == STATE_CLOSED:
            with self._breaker.calling():
                yield
            return
        # The library lets every request try while half-open; a crowd would be no trial.
        if self._trying >= self._trials:
            raise CircuitOpenError
        self._trying += 1
        try:
            with self._breaker.calling():
                yield
        except CircuitBreakerError as error:
            raise CircuitOpenError from error
        finally:
            self._trying -= 1


class _Listener(CircuitBreakerListener):
    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change

    def state_change(self, cb: CircuitBreaker, old_state: Any, new_state: Any) -> None:
        self._on_change(new_state.name)

"""Waiting for a moment more finely than the event loop can.

gevent, like epoll underneath it, rounds a wait to the millisecond. A timerfd is readable at the
nanosecond it is set for, and an event loop can wait for that. `os.timerfd_create` would do, but
comes with Python 3.13.
"""

from __future__ import annotations

import ctypes
import os
import time

import gevent

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_READABLE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)


class Alarm:
    """One timer on the monotonic clock, for one waiting greenlet at a time."""

    def __init__(self) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, flags))
        self._watcher = gevent.get_hub().loop.io(self._fd, _READABLE)

    def wait_until(self, at_mono_ns: int) -> None:
        """Return at this time of the monotonic clock; at once when it has passed."""
        if at_mono_ns <= time.monotonic_ns():
            return
        self._set(at_mono_ns)
        gevent.get_hub().wait(self._watcher)
        os.read(self._fd, 8)

    def ring(self) -> None:
        """End the present wait now."""
        self._set(1)

    def close(self) -> None:
        """Give the timer back."""
        self._watcher.close()
        os.close(self._fd)

    def _set(self, at_mono_ns: int) -> None:
        value = _Itimerspec()
        value.value.seconds, value.value.nanoseconds = divmod(at_mono_ns, 1_000_000_000)
        _checked(_libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(value), None))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"timerfd: {os.strerror(number)}")
    return result

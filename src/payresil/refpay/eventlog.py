"""Structured logs: one JSON object a line on stderr, written at once."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

#: Anything that could be a card number, in text that others wrote.
_DIGITS = re.compile(r"\d(?:[ -]?\d){11,18}")

_encode = msgspec.json.Encoder().encode


class EventLog:
    """Writes events. Callers pass ids, states and counts: never secrets or card data."""

    def __init__(
        self,
        instance: str,
        chosen: Callable[[Mapping[str, object]], Mapping[str, object]] = dict,
        fd: int = 2,
    ) -> None:
        """``chosen`` says which of the fields that callers give are written."""
        self._instance = instance
        self._chosen = chosen
        self._fd = fd

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        now = time.time()
        stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        line = {"ts": stamp[:-6] + "Z", "level": level, "event": event,
                "instance": self._instance, **self._chosen(fields)}  # fmt: skip
        os.write(self._fd, _encode(line) + b"\n")


class _Forwarder(logging.Handler):
    """Brings the log records of libraries into the same form."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            # The message of an exception may quote what was sent: the type is enough.
            text = f"{text}: {record.exc_info[0].__name__}"
        self._log.warning("library", logger=record.name, message=mask(text))


def mask(text: str) -> str:
    """Text with everything that could be a card number taken out."""
    return _DIGITS.sub("[number]", text)


def place(error: BaseException) -> str:
    """Where in this package an error came up, without its message: that may quote a request."""
    found = "unknown"
    for frame, line in traceback.walk_tb(error.__traceback__):
        _, ours, file = frame.f_code.co_filename.rpartition("refpay/")
        if ours:
            found = f"{file}:{line}"
    return found


def capture_library_logs(log: EventLog) -> None:
    """Send warnings of every library through ``log``; uncaught exceptions too."""
    root = logging.getLogger()
    root.handlers[:] = [_Forwarder(log)]
    root.setLevel(logging.WARNING)

    def crashed(kind: type[BaseException], error: BaseException, _trace: object) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.error("crashed", error=kind.__name__, message=mask(str(error)))

    sys.excepthook = crashed

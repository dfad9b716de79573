"""One JSON object a line on standard error. Callers pass names and numbers, never secrets."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


def log(level: str, event: str, **fields: str | int | float | bool | None) -> None:
    """Write one line; ``ts`` is ISO 8601 in UTC with milliseconds."""
    ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"ts": ts, "level": level, "event": event, **fields})
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Handler(logging.Handler):
    """What libraries log, in the same form: the template of a message and the kind of error,
    without their values, which may repeat what was sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        log(
            record.levelname.lower(),
            "library",
            logger=record.name,
            message=str(record.msg).strip(),
            error=error.__name__ if error else None,
        )


def capture_libraries() -> None:
    """Send warnings and worse of every library through :func:`log`."""
    logging.basicConfig(level=logging.WARNING, handlers=[Handler()])

"""One JSON object per line on standard error: ``ts``, ``level``, ``event`` and the event's own."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_FIELDS = "toxiproxy_fields"
_LOGGER = logging.getLogger("payresil.toxiproxy")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, _FIELDS, {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure() -> None:
    """Send every record of the process, libraries included, to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _LOGGER.setLevel(logging.INFO)


def event(name: str, **fields: object) -> None:
    """Record something that happened as it should."""
    _LOGGER.info(name, extra={_FIELDS: fields})


def warning(name: str, **fields: object) -> None:
    """Record something that a reader of a run may have to know."""
    _LOGGER.warning(name, extra={_FIELDS: fields})


def error(name: str, exception: BaseException | None = None, **fields: object) -> None:
    """Record a failure, with the traceback of ``exception`` where there is one."""
    _LOGGER.error(name, exc_info=exception, extra={_FIELDS: fields})

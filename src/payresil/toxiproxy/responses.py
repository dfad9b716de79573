"""HTTP answers in the shapes that Toxiproxy gives them."""

from __future__ import annotations

import json
import secrets
from base64 import b32hexencode

from starlette.responses import Response

from payresil.toxiproxy.errors import ApiError

#: What ``GET /version`` says: the release whose API this is, and that it is another server.
VERSION = "2.12.0+payresil"
REQUEST_ID = "X-Toxiproxy-Request-Id"

_TEXT = "text/plain; charset=utf-8"
_NOSNIFF = {"X-Content-Type-Options": "nosniff"}


def to_json(value: object) -> bytes:
    """Compact UTF-8, with non-ASCII characters as they are and ``?`` for a lone surrogate."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def json_answer(value: object, status: int = 200) -> Response:
    """A JSON body without a newline."""
    return Response(to_json(value), status, headers={"Content-Type": "application/json"})


def empty() -> Response:
    """204 without a body."""
    return Response(status_code=204)


def error_answer(error: ApiError) -> Response:
    """The error as JSON that says it is text, like Go's ``http.Error``."""
    body = to_json({"error": error.message, "status": error.status})
    return _plain(body + b"\n", error.status)


def text(body: str, status: int) -> Response:
    """Plain text and a newline."""
    return _plain(body.encode() + b"\n", status)


def _plain(body: bytes, status: int) -> Response:
    return Response(body, status, headers={"Content-Type": _TEXT, **_NOSNIFF})


def version() -> Response:
    """The original's spelling, with a space and a newline."""
    body = f'{{"version": "{VERSION}"}}\n'
    return Response(body, headers={"Content-Type": "application/json;charset=utf-8"})


def request_id() -> str:
    """20 characters of 0-9a-v, unique for practical purposes."""
    return b32hexencode(secrets.token_bytes(12)).decode("ascii")[:20].lower()

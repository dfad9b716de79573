"""Errors the API answers with; their texts are part of Toxiproxy's contract."""

from __future__ import annotations


class ApiError(Exception):
    """A refused request: ``message`` and ``status`` become ``{"error": …, "status": …}``."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def bad_body(detail: str) -> ApiError:
    """The body is not what the endpoint takes (400)."""
    return ApiError(f"bad request body: {detail}", 400)


def missing_field(name: str) -> ApiError:
    """A required field is absent or empty (400)."""
    return ApiError(f"missing required field: {name}", 400)


def proxy_not_found() -> ApiError:
    """No proxy of that name (404)."""
    return ApiError("proxy not found", 404)


def proxy_exists() -> ApiError:
    """The name of a new proxy is taken (409)."""
    return ApiError("proxy already exists", 409)


def toxic_not_found() -> ApiError:
    """No toxic of that name on the proxy (404)."""
    return ApiError("toxic not found", 404)


def toxic_exists() -> ApiError:
    """The name of a new toxic is taken, on either stream (409)."""
    return ApiError("toxic already exists", 409)


def invalid_stream() -> ApiError:
    """``stream`` is neither of the two directions (400)."""
    return ApiError("stream was invalid, can be either upstream or downstream", 400)


def invalid_toxic_type() -> ApiError:
    """No toxic of that type is registered (400)."""
    return ApiError("invalid toxic type", 400)

"""Calls that the harness makes to the service itself: is it settled, reconcile now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from payresil.core.protocols import Psp, Secrets
from payresil.core.system import Job, Settle

_POLL_S = 0.1
_TIMEOUT_S = 10.0


class ServiceCallFailed(Exception):
    """The service did not answer a call of the harness; says which and what came back."""


class ServiceCalls:
    """Talks to one address of the service, past every link."""

    def __init__(self, base_url: str, secrets: Secrets) -> None:
        self._base_url = base_url.rstrip("/")
        self._values = {"admin_token": secrets.admin_token, "api_token": secrets.api_token}
        self._session = requests.Session()
        self._session.trust_env = False

    def call(self, request: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """One call; `request` is method and path.

        Raises:
            ServiceCallFailed: when the answer is not a JSON object with status 2xx.
        """
        method, _, path = request.partition(" ")
        filled = {name: value.format_map(self._values) for name, value in headers.items()}
        try:
            answer = self._session.request(
                method, self._base_url + path, headers=filled, timeout=_TIMEOUT_S
            )
            answer.raise_for_status()
            body = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise ServiceCallFailed(f"{request}: {error}") from error
        if not isinstance(body, dict):
            raise ServiceCallFailed(f"{request}: answered no JSON object")
        return body

    def reconcile(self, job: Job) -> dict[str, Any]:
        """Start the service's own reconciliation; its answer."""
        return self.call(job.request, job.headers)

    def settle(
        self, settle: Settle | None, psp: Psp, bound_s: float, stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """Poll until nothing is in flight at the service and the PSP, or `bound_s` is over.

        The result says whether it settled, what was pending at last, and what last failed.
        """
        started = time.monotonic()
        while True:
            pending, error = self._pending(settle, psp)
            settled = error is None and not any(pending.values())
            seconds = time.monotonic() - started
            if settled or seconds >= bound_s or stop():
                return {
                    "settled": settled,
                    "seconds": round(seconds, 3),
                    "pending": pending,
                    "error": error,
                }
            time.sleep(_POLL_S)

    def _pending(self, settle: Settle | None, psp: Psp) -> tuple[dict[str, int], str | None]:
        pending = {f"psp.{name}": count for name, count in psp.pending().items()}
        if settle is None:
            return pending, None
        try:
            answer = self.call(settle.request, settle.headers)
            return pending | {name: _counter(answer, name) for name in settle.zero}, None
        except ServiceCallFailed as error:
            return pending, str(error)


def _counter(answer: Mapping[str, Any], path: str) -> int:
    value: Any = answer
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, int):
        raise ServiceCallFailed(f"settle: the answer has no counter {path!r}")
    return value

"""Calls that the harness makes to the service itself: is it settled, reconcile now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from payresil.core.protocols import Psp, Secrets
from payresil.core.system import Job, Settle

_POLL_S = 0.1
#: A service that cannot be asked is taken to be at rest once the PSP was quiet for so long.
_QUIET_S = 4.0
_TIMEOUT_S = 10.0


class ServiceCallFailed(Exception):
    """The service did not answer a call of the harness; says which and what came back."""


class ServiceCalls:
    """Talks to one address of the service, past every link."""

    def __init__(self, base_url: str, secrets: Secrets, ca_file: Path | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._values = {"admin_token": secrets.admin_token, "api_token": secrets.api_token}
        self._session = requests.Session()
        self._session.trust_env = False
        if ca_file is not None:
            self._session.verify = str(ca_file)

    def call(self, request: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """One call; `request` is method and path.

        Raises:
            ServiceCallFailed: when the answer is not a JSON object with status 2xx.
        """
        body = self.export(request, headers)
        if not isinstance(body, dict):
            raise ServiceCallFailed(f"{request}: answered no JSON object")
        return body

    def export(self, request: str, headers: Mapping[str, str]) -> Any:
        """The same, for an answer of any shape.

        Raises:
            ServiceCallFailed: when the answer is not JSON with status 2xx.
        """
        method, _, path = request.partition(" ")
        filled = {name: value.format_map(self._values) for name, value in headers.items()}
        try:
            answer = self._session.request(
                method,
                self._base_url + path,
                headers=filled,
                timeout=_TIMEOUT_S,
                allow_redirects=False,  # to where nobody has allowed us to go
            )
            answer.raise_for_status()
            if answer.is_redirect:
                raise ServiceCallFailed(f"{request}: answered with a redirection")
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise ServiceCallFailed(f"{request}: {error}") from error

    def reconcile(self, job: Job) -> tuple[dict[str, Any], int | None]:
        """Start the service's own reconciliation: its answer, and how much it changed.

        The second is None where the system file does not say which counter tells.
        """
        answer = self.call(job.request, job.headers)
        if job.remedied is None:
            return answer, None
        return answer, _counter(answer, job.remedied, "reconcile")

    def settle(
        self, settle: Settle | None, psp: Psp, bound_s: float, stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """Poll until nothing is in flight at the service and the PSP, or `bound_s` is over.

        Without `settle` the PSP alone is asked, and must have been quiet for a while: the service
        may be about to ask it again. The result says whether it settled (None when nobody could be
        asked), who was asked, what was pending at last, and what last failed.
        """
        quiet_s = min(_QUIET_S, bound_s / 3) if settle is None else 0.0
        started = time.monotonic()
        quiet_since: float | None = None
        while True:
            at_psp = psp.pending()
            at_service, error = self._pending(settle)
            pending = {f"psp.{name}": count for name, count in at_psp.items()} | at_service
            asked = _asked(service=settle is not None, psp=bool(at_psp))
            now = time.monotonic()
            if error is not None or any(pending.values()):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            settled = quiet_since is not None and now - quiet_since >= quiet_s
            seconds = now - started
            if settled or seconds >= bound_s or stop():
                return {
                    "settled": settled if asked else None,
                    "asked": asked or "nobody",
                    "seconds": round(seconds, 3),
                    "pending": pending,
                    "error": error,
                }
            time.sleep(_POLL_S)

    def _pending(self, settle: Settle | None) -> tuple[dict[str, int], str | None]:
        if settle is None:
            return {}, None
        try:
            answer = self.call(settle.request, settle.headers)
            return {name: _counter(answer, name, "settle") for name in settle.zero}, None
        except ServiceCallFailed as error:
            return {}, str(error)


def _asked(*, service: bool, psp: bool) -> str:
    """Who could be asked whether they are at rest; empty when nobody could."""
    return " and ".join(name for name, was in (("service", service), ("PSP", psp)) if was)


def _counter(answer: Mapping[str, Any], path: str, step: str) -> int:
    value: Any = answer
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, int):
        raise ServiceCallFailed(f"{step}: the answer has no counter {path!r}")
    return value

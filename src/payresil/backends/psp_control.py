"""The PSP's control plane, as the stub PSP serves it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests

from payresil.core.protocols import EnvironmentBroke

#: Seconds to connect and to answer.
_TIMEOUTS_S = (2.0, 10.0)


class PspControl:
    """`core.protocols.Psp` over HTTP. Every method raises `EnvironmentBroke` on failure."""

    def __init__(self, base_url: str, token: str, owner: str | None = None) -> None:
        """`base_url` is ``http://host:port`` of the control plane, `token` opens it.

        Rules and the lease are those of `owner`, where others use the PSP, too; else all of them.
        """
        self._base_url = f"{base_url}/_control"
        self._owner = {} if owner is None else {"owner": owner}
        self._headers = {"Authorization": f"Bearer {token}"}

    @contextmanager
    def rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        """A fault rule while the context lasts; yields its id.

        Raises:
            EnvironmentBroke: when the PSP refuses the rule, or when at the end it turns out not to
                have been in force any more.
        """
        name = str(self._call("POST", "rules", json={**rule, **self._owner})["id"])
        try:
            yield name
        finally:
            self._call("DELETE", f"rules/{name}")
            if name in self._rules():
                raise EnvironmentBroke(f"the PSP still has the fault rule {name} after healing")

    def heal(self) -> None:
        """Take every rule (of the owner) away, and read back that none is left."""
        self._call("DELETE", "rules", params=self._owner)
        left = self._rules()
        if left:
            raise EnvironmentBroke(f"the PSP still has fault rules: {', '.join(left)}")

    def pending(self) -> Mapping[str, int]:
        """What is still on its way: webhooks to deliver, requests in flight."""
        counts: Mapping[str, int] = self._call("GET", "pending")
        return counts

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a table of the god view; times as the PSP took them, ``*_mono_ns``."""
        with self._request("GET", f"truth/{table}", stream=True) as answer:
            try:
                for line in answer.iter_lines(chunk_size=65536):
                    yield json.loads(line)
            except (requests.RequestException, ValueError) as error:
                raise EnvironmentBroke(f"the PSP's table {table} broke off: {error}") from error

    def send_webhooks(self, url: str, secret: str, events: Sequence[str]) -> None:
        """Have `events` sent to `url`, signed with `secret`."""
        wanted = {"url": url, "secret": secret, "enabled_events": list(events)}
        self._call("POST", "webhook_endpoints", json=wanted)

    def renew_lease(self, ttl_ms: int) -> None:
        """Have the rules (of the owner) removed, unless renewed within `ttl_ms`."""
        self._call("POST", "lease", json={"ttl_ms": ttl_ms, **self._owner})

    def end_lease(self) -> None:
        """Take away the rules (of the owner) and then the lease.

        Where a rule cannot be taken away the lease stays, and runs out.
        """
        self.heal()
        self._call("DELETE", "lease", params=self._owner)

    def _rules(self) -> list[str]:
        return [
            str(rule["id"])
            for rule in self._call("GET", "rules")["rules"]
            if rule.items() >= self._owner.items()
        ]

    def _call(self, method: str, path: str, **options: Any) -> Any:
        with self._request(method, path, **options) as answer:
            try:
                return answer.json()
            except ValueError as error:
                raise EnvironmentBroke(f"the PSP answered no JSON to {method} {path}") from error

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        # A session for every call: this is asked from several threads, and not often.
        with requests.Session() as session:
            session.trust_env = False  # no web proxy between here and loopback
            session.headers.update(self._headers)
            try:
                answer = session.request(
                    method, f"{self._base_url}/{path}", timeout=_TIMEOUTS_S, **options
                )
            except requests.RequestException as error:
                raise EnvironmentBroke(
                    f"the PSP does not answer {method} {path}: {error}"
                ) from error
        if not answer.ok:
            said = answer.text.strip()[:300]
            raise EnvironmentBroke(f"the PSP refused {method} {path}: {answer.status_code} {said}")
        return answer

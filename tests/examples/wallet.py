"""The wallet, and a customer of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from .processes import ADMIN_TOKEN, API_TOKEN, EXAMPLES, Psp, Service, node, session, until


class Wallet(Service):
    def __init__(self, data: Path, psp: Psp, **settings: str) -> None:
        self.journal = data / "journal.jsonl"
        environment = {
            "DATA": str(data), "JOURNAL": str(self.journal), "PSP_URL": psp.url,
            "PSP_API_KEY": "sk_test_wallet", "API_TOKEN": API_TOKEN, "ADMIN_TOKEN": ADMIN_TOKEN,
            **settings,
        }  # fmt: skip
        super().__init__([node(), "server.js"], EXAMPLES / "node-wallet", environment)
        self._session = session(API_TOKEN)

    def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> requests.Response:
        return self._session.request(
            method, self.url + path, json=body, headers=headers, timeout=15
        )

    def transfer(self, name: str, key: str | None = None, **body: Any) -> requests.Response:
        wanted = {"reference": name, "amount": "12.34", "currency": "EUR",
                  "source": "pm_card_visa", **body}  # fmt: skip
        headers = {"X-Request-Id": key or f"{name}-pay"}
        return self.call("POST", "/transfers", wanted, **headers)

    def polled(self, accepted: requests.Response) -> dict[str, Any]:
        """The transfer once it is done: polled by the URL that the answer gave."""
        assert accepted.status_code in (200, 202), accepted.text
        path = accepted.json()["status_url"]
        seen: dict[str, Any] = {}

        def done() -> bool:
            seen.update(self.call("GET", path).json())
            return seen["status"] != "pending"

        until(done, lambda: f"{seen} {self.output()}")
        return seen

    def export(self) -> list[dict[str, Any]]:
        answer = self.call("GET", "/export", Authorization=f"Bearer {ADMIN_TOKEN}")
        assert answer.ok, answer.text
        return list(answer.json()["transfers"])

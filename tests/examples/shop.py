"""The web shop, and a customer of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Any

import requests

from .processes import ADMIN_TOKEN, EXAMPLES, WEBHOOK_SECRET, Psp, Service, session


class Shop(Service):
    def __init__(self, data: Path, psp: Psp, **settings: str) -> None:
        self.database = data / "shop.db"
        self._api_key = f"sk_test_{data.name}"  # an account of its own, so events are its own too
        environment = {
            "DATA": str(data), "DATABASE": str(self.database), "PSP_URL": psp.url,
            "PSP_API_KEY": self._api_key, "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "ADMIN_TOKEN": ADMIN_TOKEN, **settings,
        }  # fmt: skip
        super().__init__([sys.executable, "app.py"], EXAMPLES / "flask-shop", environment)
        self._psp = psp
        self._session = session()

    def start(self) -> None:
        first = self.process is None
        super().start()
        if first:
            endpoint = {"url": f"{self.url}/stripe/webhook", "secret": WEBHOOK_SECRET,
                        "account": self._psp.account(self._api_key)}  # fmt: skip
            self._psp.control("POST", "webhook_endpoints", endpoint)

    def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> requests.Response:
        return self._session.request(
            method, self.url + path, json=body, headers=headers, timeout=15
        )

    def order(self, name: str, key: str | None = None, **body: Any) -> requests.Response:
        wanted = {"reference": name, "total": 1250, "currency": "eur",
                  "payment_token": "pm_card_visa", **body}  # fmt: skip
        headers = {"Idempotency-Key": key or f"{name}-pay"}
        return self.call("POST", "/orders", wanted, **headers)

    def refund(self, order: str, amount: int, key: str) -> requests.Response:
        path, headers = f"/orders/{order}/refunds", {"Idempotency-Key": key}
        return self.call("POST", path, {"amount": amount}, **headers)

    def deliver(self, event: dict[str, Any], secret: str = WEBHOOK_SECRET) -> int:
        """Deliver an event as Stripe would, signed; the status that it is answered with."""
        body, moment = json.dumps(event), int(time.time())
        mac = hmac.new(secret.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={moment},v1={mac}", "Content-Type": "application/json"}
        url = f"{self.url}/stripe/webhook"
        return self._session.post(url, body, headers=headers, timeout=15).status_code

    def show(self, order: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/orders/{order}").json())

    def staff(self, method: str, path: str) -> dict[str, int]:
        answer = self.call(method, path, Authorization=f"Bearer {ADMIN_TOKEN}")
        assert answer.ok, answer.text
        return dict(answer.json())

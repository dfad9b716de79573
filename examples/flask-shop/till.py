"""Takes money and gives it back, through Stripe."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import stripe
from books import Books

log = logging.getLogger("shop.till")

TIMEOUT_S = 1.5  # of one request to Stripe; a customer is waiting
RETRIES = 1  # by the SDK, with the same idempotency key
KEY_LIFETIME_S = 23 * 3600  # Stripe forgets an idempotency key after a day


class Till:
    """Charges orders and makes refunds, each under an idempotency key of its own."""

    def __init__(self, books: Books, psp_url: str, api_key: str, *, fixed: bool) -> None:
        self._books = books
        self._fixed = fixed
        self._busy: set[str] = set()
        self._busy_lock = threading.Lock()
        self._stripe = stripe.StripeClient(
            api_key,
            base_addresses={"api": psp_url},
            max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        )

    def charge(self, order: Mapping[str, Any]) -> None:
        """Take the money for an order, and note how that ended."""
        with self._alone(order["id"]) as alone:
            if alone:
                self._charge(order)

    def _charge(self, order: Mapping[str, Any]) -> None:
        try:
            intent = self._stripe.v1.payment_intents.create(
                {
                    "amount": order["total"],
                    "currency": order["currency"],
                    "payment_method": order["payment_token"],
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "confirm": True,
                    "metadata": {"order_id": order["id"], "order_ref": order["reference"]},
                },
                {"idempotency_key": f"order-{order['id']}"},
            )
        except stripe.CardError as error:
            log.info("order %s: declined, %s", order["id"], error.code)
            self._books.set_order(order["id"], "declined")
        except stripe.InvalidRequestError as error:
            log.error("order %s: refused by Stripe, %s", order["id"], error.code)
            self._books.set_order(order["id"], "failed")
        except stripe.StripeError as error:
            log.warning("order %s: no payment, %s", order["id"], type(error).__name__)
            if not self._fixed:
                self._books.set_order(order["id"], "failed")
        else:
            if intent.status == "succeeded":
                self._books.set_order(order["id"], "paid", intent.id)

    def refund(self, refund: Mapping[str, Any]) -> None:
        """Give money back. Without a clear answer the refund stays open."""
        with self._alone(refund["id"]) as alone:
            if alone:
                self._refund(refund)

    def _refund(self, refund: Mapping[str, Any]) -> None:
        order = self._books.order(refund["order_id"])
        assert order is not None  # the books say so: a foreign key
        try:
            made = self._stripe.v1.refunds.create(
                {
                    "payment_intent": order["payment_intent"],
                    "amount": refund["amount"],
                    "metadata": {"refund_id": refund["id"], "order_ref": order["reference"]},
                },
                {"idempotency_key": f"refund-{refund['id']}"},
            )
        except stripe.InvalidRequestError as error:
            log.error("refund %s: refused by Stripe, %s", refund["id"], error.code)
            self._books.set_refund(refund["id"], "failed")
        except stripe.StripeError as error:
            log.warning("refund %s: unclear, %s", refund["id"], type(error).__name__)
        else:
            self._books.set_refund(refund["id"], "done", made.id)

    def finish_open(self) -> dict[str, int]:
        """Ask Stripe again about all that is open: the same keys get the same answers."""
        oldest_us = (time.time() - KEY_LIFETIME_S) * 1_000_000
        orders, refunds = self._books.open_orders(), self._books.open_refunds()
        for order in orders:
            if order["created_us"] > oldest_us:
                self.charge(order)
        for refund in refunds:
            if refund["created_us"] > oldest_us:
                self.refund(refund)
        left = len(self._books.open_orders()) + len(self._books.open_refunds())
        return {"finished": len(orders) + len(refunds) - left, "left": left}

    @contextmanager
    def _alone(self, id_: str) -> Iterator[bool]:
        """Whether nobody else is at work on it: a second click waits for the first one's answer."""
        with self._busy_lock:
            alone = id_ not in self._busy
            self._busy.add(id_)
        try:
            yield alone
        finally:
            if alone:
                with self._busy_lock:
                    self._busy.discard(id_)

"""The customer who pays when the goods are sent."""

from __future__ import annotations

from random import Random

from payresil.core.registry import journey
from payresil.workloads.client import PaymentClient

_CANCELS = 0.1  # share of them who call it off
_PARTS = 0.35  # share of the others who pay for a part only
_TWICE = 0.25  # share of the others whose request is sent a second time


@journey(retries=True, needs=("capture", "cancel"))
def capture_later(client: PaymentClient, random: Random) -> None:
    """Authorizes a payment, and after a short wait captures all of it or a part, or cancels it;
    some send the capture twice with the same key.

    What becomes of the authorization is drawn before anything is sent.
    """
    wait_s = random.uniform(0.1, 0.8)
    cancels = random.random() < _CANCELS
    amount_minor = _part(client.intent.amount_minor, random)
    again_s = random.uniform(0.0, 0.3) if random.random() < _TWICE else None
    authorized = client.pay(capture="manual")
    if not authorized.final or authorized.state != "authorized" or not client.wait(wait_s):
        return
    if cancels:
        client.perform("cancel", "cancel")
        return
    again = None
    if again_s is not None:
        again = client.attempt_later(again_s, "capture", "capture", amount_minor=amount_minor)
    client.perform("capture", "capture", amount_minor=amount_minor)
    if again is not None:
        again()


def _part(authorized_minor: int, random: Random) -> int:
    """What is captured in the end."""
    if random.random() < _PARTS:
        return random.randint(1, authorized_minor - 1)
    return authorized_minor

"""The customer who clicks twice."""

from __future__ import annotations

from random import Random

from payresil.core.registry import journey
from payresil.workloads.client import PaymentClient

_DOUBLE_CLICK = 0.4  # share of them whose second request leaves together with the first


@journey(retries=True)
def impatient(client: PaymentClient, random: Random) -> None:
    """Sends the same payment again with the same key, at once or after a short wait."""
    wait_s = 0.0 if random.random() < _DOUBLE_CLICK else random.uniform(0.02, 0.4)
    again = client.attempt_later(wait_s, "create")
    client.pay()
    again()

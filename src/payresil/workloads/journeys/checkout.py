"""The customer who pays once and waits to be told."""

from __future__ import annotations

from random import Random

from payresil.core.registry import journey
from payresil.workloads.client import PaymentClient


@journey(retries=True)
def checkout(client: PaymentClient, random: Random) -> None:
    """Pays; without a clear answer tries again with the same key, until patience runs out."""
    client.pay()

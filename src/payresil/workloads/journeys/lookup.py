"""The customer who keeps looking."""

from __future__ import annotations

from random import Random

from payresil.core.registry import journey
from payresil.workloads.client import PaymentClient

_EARLY = 3  # looks at most while the payment may be under way
_LATE = 4  # looks at most once it has been answered
_EARLY_S = 0.4  # when the last early look is begun


@journey(retries=True, needs=("read",))
def lookup(client: PaymentClient, random: Random) -> None:
    """Pays, and looks the payment up by its id and by its reference, while it is under way and
    afterwards: every look must tell the same story.

    The looks are attempts of the payment, of the kind read.
    """
    # Most of them soon, since most payments take some milliseconds only.
    early_s = [_EARLY_S * random.random() ** 3 for _ in range(random.randint(1, _EARLY))]
    late_s = [random.uniform(0.02, 0.5) for _ in range(random.randint(2, _LATE))]
    by_reference = client.can("find")
    looks = [client.attempt_later(wait_s, "find") for wait_s in early_s if by_reference]
    paid = client.pay()
    for look in looks:
        look()
    if paid.outcome == "fail":
        return  # it certainly did nothing, so there is nothing to see
    for number, wait_s in enumerate(late_s):
        if not client.wait(wait_s):
            return
        if client.payment is not None and (number % 2 == 0 or not by_reference):
            client.attempt("read")
        elif by_reference:
            client.attempt("find")

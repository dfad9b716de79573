"""The customer who wants money back."""

from __future__ import annotations

from functools import partial
from random import Random

from payresil.core.registry import journey
from payresil.workloads.client import PaymentClient


@journey(retries=True, needs=("refund",))
def refund(client: PaymentClient, random: Random) -> None:
    """Pays, and then asks for money back: a part or all of it, with one request or with several at
    the same time, which may together be more than was paid.

    What is asked for, and when, is drawn before anything is sent: the service has no say in it.
    """
    amounts, again_s = _wanted(client.intent.amount_minor, random)
    wait_s = random.uniform(0.1, 0.8)
    paid = client.pay()
    if not paid.final or paid.state != "succeeded" or not client.wait(wait_s):
        return
    asked = [
        client.beside(
            partial(client.perform, "refund", f"refund.{number}", amount_minor=amount_minor)
        )
        for number, amount_minor in enumerate(amounts, 1)
    ]
    if again_s is not None:
        asked.append(client.attempt_later(again_s, "refund", "refund.1", amount_minor=amounts[0]))
    for answer in asked:
        answer()


def _wanted(paid_minor: int, random: Random) -> tuple[list[int], float | None]:
    """The amounts of refunds asked for at once, and when the first is asked for again, if ever."""
    how = random.choice(("part", "whole", "two that fit", "two that exceed", "twice"))
    if how == "whole":
        return [paid_minor], None
    if how == "two that fit":
        first = random.randint(1, paid_minor - 1)
        return [first, random.randint(1, paid_minor - first)], None
    if how == "two that exceed":
        first = random.randint(paid_minor // 2 + 1, paid_minor)
        return [first, random.randint(paid_minor - first + 1, paid_minor)], None
    part = random.randint(1, paid_minor - 1)
    return [part], random.choice((0.0, random.uniform(0.01, 0.3))) if how == "twice" else None

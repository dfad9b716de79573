"""Who arrives when, and what they buy: a function of the seed and the workload alone.

Nothing here looks at a clock or at the system, so two runs of one seed try the same payments at
the same times, and `Plan.digest` shows that they did.
"""

from __future__ import annotations

import hashlib
import math
import random
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, count

from payresil.core.cards import canary_cards
from payresil.core.scenario import Workload

__all__ = ["Arrival", "Plan", "canary_cards"]

#: Amounts are spread evenly over their orders of magnitude, as purchases are.
LEAST_MINOR = 100
MOST_MINOR = 50_000

#: Mostly one currency; several, so that books must balance in each; one without decimals.
CURRENCIES = {"eur": 80, "usd": 10, "gbp": 6, "jpy": 4}

#: Arrivals name one of so many cards.
CARDS = 1 << 16


@dataclass(frozen=True, slots=True)
class Arrival:
    """One customer of the plan."""

    n: int  # 0, 1, …: the number of the intent in this plan
    due_s: float  # seconds from the scenario's zero, negative in the warm-up
    journey: str
    amount_minor: int
    currency: str
    card: int  # index into the run's cards, to be taken modulo their number


@dataclass(frozen=True, slots=True)
class Plan:
    """All arrivals of one run. Two plans of the same seed and workload are equal throughout."""

    seed: int
    workload: Workload

    def arrivals(self) -> Iterator[Arrival]:
        """Every arrival in the order in which they are due, drawn as they are asked for."""
        draw = _Draw(self.seed, self.workload)
        rate, start_s = float(self.workload.rate), -float(self.workload.warm_up)
        poisson = self.workload.arrivals == "poisson"
        due_s, end_s = start_s, float(self.workload.duration)
        for n in count():
            chances = draw.chances(n)
            if poisson:
                due_s += -math.log(1.0 - chances[0]) / rate
            else:
                due_s = start_s + n / rate  # not summed up, so that nothing drifts
            if due_s >= end_s:
                return
            yield draw.arrival(n, due_s, chances)

    def expected(self) -> float:
        """How many intents to expect, warm-up included."""
        workload = self.workload
        return float(workload.rate) * (float(workload.warm_up) + float(workload.duration))

    def random(self, n: int) -> random.Random:
        """The randomness of the customer behind intent `n`, apart from everyone else's."""
        return random.Random(_digest(self.seed, f"customer/{n}"))

    def digest(self) -> str:
        """A fingerprint of every arrival: the same for the same plan, on any machine."""
        total = hashlib.sha256()
        for each in self.arrivals():
            # Whole microseconds: logarithms may differ in their last bit between machines.
            row = struct.pack(
                "<qqqq", each.n, round(each.due_s * 1e6), each.amount_minor, each.card
            )
            total.update(row + f"{each.journey}/{each.currency}".encode())
        return total.hexdigest()


class _Draw:
    """The chances of each arrival, from one hash of the seed and its number.

    A change of the journeys moves no arrival and changes no amount.
    """

    def __init__(self, seed: int, workload: Workload) -> None:
        self._key = _digest(seed, "arrivals")
        self._journeys, self._weights = _cumulative(dict(workload.journeys))
        self._currencies, self._shares = _cumulative(CURRENCIES)

    def chances(self, n: int) -> tuple[float, ...]:
        """Five numbers in [0, 1), of 53 bits each, as `random.random` gives them."""
        raw = hashlib.blake2b(n.to_bytes(8, "little"), key=self._key, digest_size=40).digest()
        return tuple((bits >> 11) * 2.0**-53 for bits in struct.unpack("<5Q", raw))

    def arrival(self, n: int, due_s: float, chances: tuple[float, ...]) -> Arrival:
        """Arrival `n`, which was found to be due at `due_s`."""
        _, journey, amount, currency, card = chances
        spread = LEAST_MINOR * (MOST_MINOR / LEAST_MINOR) ** amount
        return Arrival(
            n=n,
            due_s=due_s,
            journey=_pick(self._journeys, self._weights, journey),
            amount_minor=min(MOST_MINOR, max(LEAST_MINOR, round(spread))),
            currency=_pick(self._currencies, self._shares, currency),
            card=int(card * CARDS),
        )


def _digest(seed: int, label: str) -> bytes:
    """Not `hash`, which Python salts anew in every process."""
    return hashlib.blake2b(f"{seed}/{label}".encode(), digest_size=32).digest()


def _cumulative(weights: dict[str, int]) -> tuple[list[str], list[int]]:
    names = sorted(weights)  # the order of the file must not matter
    return names, list(accumulate(weights[name] for name in names))


def _pick(names: list[str], bounds: list[int], chance: float) -> str:
    return names[min(bisect_right(bounds, chance * bounds[-1]), len(names) - 1)]

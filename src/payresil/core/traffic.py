"""Everything that a process which sends traffic needs, as one value.

It holds secrets, so it travels through a pipe and is never written to a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from payresil.core.scenario import Workload
from payresil.core.system import Api
from payresil.core.values import Duration, Quantity, Rate

#: The prober's intents are numbered from here, far above the customers'.
FIRST_PROBE = 1_000_000_000

#: Customers at the same time, at most.
MOST_CUSTOMERS = 2000

_PROBE_RATE = Rate(5.0)  # each is a TLS connection of its own, the dearest request there is
_PROBE_TIMEOUT = Duration(1.0)


class TrafficError(ValueError):
    """A specification that cannot be read."""


@dataclass(frozen=True, slots=True)
class TrafficSpec:
    """What to send, where, from when on, and where to record it.

    `zero_mono_ns` is the run's zero on the monotonic clock, which every process of a machine
    shares. `workload` is what the customers do; the prober takes its length and its patience
    from it. Files named in `imports` are loaded before journeys are looked up.
    """

    run: str
    zero_mono_ns: int
    seed: int
    workload: Workload
    api: Api
    base_url: str  # scheme, host and port of the customers' side
    folder: str  # the run folder, for the tables
    api_token: str = field(repr=False)
    card_numbers: tuple[str, ...] = field(repr=False)
    card_cvc: str = field(repr=False)
    ca_file: str | None = None  # PEM of the CA to verify against; None: the machine's
    first: int = 0  # intents are <run>-<first + n>
    first_probe: int = FIRST_PROBE
    block: int = 200  # intent numbers reserved at a time
    users: int = MOST_CUSTOMERS
    probe_rate: Rate = _PROBE_RATE
    probe_timeout: Duration = _PROBE_TIMEOUT  # from the objective that probes stand for
    probe_amount_minor: int = 100
    probe_currency: str = "eur"
    imports: tuple[str, ...] = ()
    limit: int | None = None  # requests that customers may send; None: as many as they like
    probe_limit: int | None = None  # requests of the prober

    def encode(self) -> bytes:
        """As JSON. It contains secrets."""
        return msgspec.json.encode(self, enc_hook=_plain)

    @classmethod
    def decode(cls, data: bytes) -> TrafficSpec:
        """Read what `encode` wrote.

        Raises:
            TrafficError: when it is anything else. The message holds no secret.
        """
        try:
            return msgspec.json.decode(data, type=cls, dec_hook=_typed)
        except (msgspec.MsgspecError, ValueError) as error:
            raise TrafficError(f"no traffic specification: {error}") from None


def _plain(value: Any) -> float:
    if isinstance(value, Quantity):
        return float(value)
    raise NotImplementedError(f"{type(value).__name__} in a traffic specification")


def _typed(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Quantity) and isinstance(value, int | float):
        return kind(value)
    raise NotImplementedError(f"{kind.__name__} in a traffic specification")

"""A system that runs already, as a value: where it is, and what may be done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from payresil.core.topology import Link


@dataclass(frozen=True, slots=True)
class AttachedToxiproxy:
    """The Toxiproxy that is on some links of the system: link → name of its proxy there."""

    url: str
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AttachedPsp:
    """The stub PSP, where the system uses it, on the clock of this machine."""

    control: str


@dataclass(frozen=True, slots=True)
class Budget:
    """How many requests customers, probes and the audit may send together."""

    requests: int

    @property
    def of_probes(self) -> int:
        """The part of the probes."""
        return self.requests // 10

    @property
    def of_audit(self) -> int:
        """The part of the last reads."""
        return self.requests // 10

    @property
    def of_customers(self) -> int:
        """What is left for customers."""
        return self.requests - self.of_probes - self.of_audit

    @property
    def low_for_customers(self) -> int:
        """When so many were sent, no new customer comes: those who are there may finish."""
        return self.of_customers - self.of_customers // 5


@dataclass(frozen=True, slots=True)
class Attachment:
    """What an attach file says. Hosts beside loopback must be listed under `allow`.

    `secrets` names the variables of the environment that hold them: api_token, admin_token,
    control_token, database_url.
    """

    customers: str
    budget: Budget
    ca_file: str | None = None
    admin: str | None = None
    toxiproxy: AttachedToxiproxy | None = None
    psp: AttachedPsp | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    prometheus: str | None = None
    allow: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def capabilities(self) -> frozenset[str]:
        """What can be done to it."""
        able = {"links": self.toxiproxy, "psp_rules": self.psp}
        return frozenset(name for name, means in able.items() if means is not None)


@dataclass(frozen=True, slots=True)
class Attached:
    """An attach file with its secrets, which came from the environment and go into no file."""

    file: Attachment
    proxies: Mapping[Link, str]  # the name of the proxy that is on each link
    secrets: Mapping[str, str] = field(repr=False)

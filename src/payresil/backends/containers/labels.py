"""Names and labels of everything that a run makes, so that it is found again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from payresil.backends.harness import Harness

#: On everything: which run, which start of it, and which harness.
RUN, ENVIRONMENT, HARNESS = "payresil.run", "payresil.environment", "payresil.harness"

#: On containers: which node.
NODE = "payresil.node"

_PROJECT = {"payresil.project": "payresil"}


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one start of one run."""

    run: str
    environment: str = field(default_factory=lambda: secrets.token_hex(3))

    def name(self, of: str) -> str:
        """The name of a container or network, which no other run gives."""
        return f"payresil-{self.run}-{self.environment}-{of}"

    def of(self, node: str | None = None) -> dict[str, str]:
        """What a container or network is labelled with."""
        made = {**_PROJECT, RUN: self.run, ENVIRONMENT: self.environment}
        made[HARNESS] = str(Harness.this())
        return made if node is None else {**made, NODE: node}

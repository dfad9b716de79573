"""Regions under control of an operator: `core.protocols.Regions`."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from payresil.backends.embedded.postgres_roles import SERVICE
from payresil.backends.embedded.regions.members import OPERATOR, WITNESS, Members
from payresil.backends.embedded.regions.over_tls import ask, knock
from payresil.backends.embedded.replication.questions import ask as ask_database
from payresil.backends.embedded.service import filled
from payresil.core.protocols import Assembly, EnvironmentBroke, Unreachable
from payresil.core.topology import Link, Node

#: A reconciliation goes through all the books.
_RECONCILE_S = 20.0

_UPSTREAMS = "/config/apps/http/servers/ingress/routes/0/handle/0/upstreams"


@dataclass(frozen=True)
class RouterControl:
    """The control port of the router: where it listens, and the link that leads there."""

    listens: str
    reached: Callable[[], str]


class RegionControl:
    """Which region the router sends customers to, and what operators ask of regions."""

    def __init__(
        self, assembly: Assembly, members: Members, router: RouterControl, tls: ssl.SSLContext
    ) -> None:
        """At first customers are sent to the region that the system file says is active."""
        if assembly.system.regions is None or assembly.system.lease is None:
            raise EnvironmentBroke("a system of two regions needs `regions` and a `lease`")
        self.active = assembly.system.regions.active
        self._assembly = assembly
        self._lease = assembly.system.lease
        self._members = members
        self._router = router
        self._tls = tls

    def serves(self, region: str) -> bool:
        """Whether a region takes payments, as an operator sees it."""
        try:
            status, _ = self._ask(region, f"GET {self._assembly.system.service.ready}", {})
        except Unreachable:
            return False
        return status == 200

    def knock(self, region: str) -> None:
        """Whether the way to a region, or to the third place, is open, whoever is at its end.

        Raises:
            Unreachable: when it is not.
        """
        if region == WITNESS.region:
            knock(self._members.links.address(Link(OPERATOR, WITNESS)))
            return
        self._ask(region, "GET /", {})

    def send_customers_to(self, region: str) -> None:
        """Have the router send customers to `region`."""
        upstream = self._members.links.address(Link(Node(None, "router"), Node(region, "lb")))
        status, said = ask(
            self._router.reached(),
            None,
            f"PATCH {_UPSTREAMS}",
            {"Host": self._router.listens, "Content-Type": "application/json"},
            body=[{"dial": upstream}],
            timeout_s=5.0,
        )
        if status != 200:
            raise EnvironmentBroke(f"the router does not send customers to {region}: {said!r}")
        self.active = region

    def take_lease(self, region: str) -> tuple[int | None, int]:
        """Ask the witness for the lease; the new epoch, or None, and how long it is held yet."""
        url = self._members.operators_url(WITNESS, SERVICE)
        (row,) = ask_database(url, self._lease.take, region)
        return (row["epoch"] if row["taken"] else None), row["remaining_ms"]

    def unknown(self, region: str) -> Mapping[str, int]:
        """How many outcomes the service of a region does not know."""
        settle = self._assembly.system.settle
        if settle is None:
            return {}
        answer = self._call(region, settle.request, settle.headers)
        return {name: _count_at(answer, name) for name in settle.unknown or settle.zero}

    def reconcile(self, region: str) -> Mapping[str, Any]:
        """Start the service's own reconciliation in a region; its answer."""
        job = self._assembly.system.reconcile
        if job is None:
            return {}
        answer = self._call(region, job.request, job.headers, timeout_s=_RECONCILE_S)
        return answer if isinstance(answer, dict) else {"answer": answer}

    def _call(
        self, region: str, request: str, headers: Mapping[str, str], timeout_s: float = 3.0
    ) -> Any:
        secrets = self._assembly.secrets
        values = {"admin_token": secrets.admin_token, "api_token": secrets.api_token}
        told = {name: filled(text, values, f"headers.{name}") for name, text in headers.items()}
        status, body = self._ask(region, request, told, timeout_s=timeout_s)
        if status >= 500:
            raise Unreachable(f"{request} in region {region} is answered {status}")
        try:
            if status != 200:
                raise ValueError(f"status {status}")
            return json.loads(body)
        except ValueError as error:
            raise EnvironmentBroke(f"{request} in region {region}: {error}") from error

    def _ask(
        self, region: str, request: str, headers: Mapping[str, str], timeout_s: float = 1.0
    ) -> tuple[int, bytes]:
        address = self._members.links.address(Link(OPERATOR, Node(region, "lb")))
        return ask(address, self._tls, request, headers, timeout_s=timeout_s)


def _count_at(answer: Any, path: str) -> int:
    for key in path.split("."):
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, int):
        raise EnvironmentBroke(
            f"of what is in flight the service must say how many {path}, not {answer!r}"
        )
    return answer

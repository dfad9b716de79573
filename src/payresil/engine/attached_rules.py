"""What can be tried on a system that runs already, and what is said before it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from payresil.core import registry
from payresil.core.attachment import Attachment
from payresil.core.plan import Plan
from payresil.core.problems import Place, Problem
from payresil.core.scenario import Scenario
from payresil.core.topology import Link, Node, Topology

#: Roles that are in no region.
_OUTSIDE = ("customers", "router", "psp")
_REGION = "a"

#: Why a system that runs already does not let itself be treated so.
_REASONS = {
    "links": "no `toxiproxy` in the attach file has proxies on its links",
    "psp_rules": "no `psp` in the attach file gives control of its PSP",
    "nodes": "payresil did not start its nodes, so it does not end or pause them",
    "networks": "payresil did not make its networks, so it does not change them",
    "limits": "payresil did not start its nodes, so it does not limit them",
}


def attached_topology(attachment: Attachment) -> Topology:
    """The links that have a proxy, and every node that the file speaks of."""
    server = attachment.toxiproxy
    links = [placed_link(name) for name in (server.links if server else ())]
    nodes = {end for link in links for end in (link.source, link.target)}
    nodes |= {_placed(Node.parse(name)) for name in attachment.metrics}
    nodes.add(Node(None, "customers"))
    if not any(node.role == "service" for node in nodes):
        nodes.add(Node(_REGION, "service"))
    if attachment.psp is not None:
        nodes.add(Node(None, "psp"))
    return Topology(tuple(sorted(nodes)), tuple(sorted(links)))


def impossible(scenario: Scenario, attachment: Attachment) -> tuple[Problem, ...]:
    """Every fault of a scenario that cannot be brought about in this system, and why."""
    return tuple(
        Problem(
            Place.parse(step.where),
            f"{step.id} on a system that runs already",
            f"another fault or another backend: {_REASONS.get(need, f'it has no {need}')}",
        )
        for step in scenario.faults
        for need in registry.faults.get(step.fault).traits["needs"]
        if need not in attachment.capabilities
    )


def notices(scenario: Scenario, attachment: Attachment) -> Iterator[str]:
    """What a run on this system cannot show, in words for its report."""
    wanted, budget = Plan(scenario.seed, scenario.workload).expected(), attachment.budget
    if wanted > budget.of_customers:
        yield (
            f"about {wanted:,.0f} payments are planned, and the budget leaves "
            f"{budget.of_customers:,} requests for customers: they stop early"
        )
    if attachment.psp is not None and any(
        "psp_rules" in registry.faults.get(step.fault).traits["needs"] for step in scenario.faults
    ):
        yield "faults of the PSP hit everybody who uses it, not only this run"
    if attachment.psp is None:
        yield (
            "nothing is known of what the PSP did: no `psp` in the attach file. Checks that "
            "compare with its books are inconclusive"
        )


def placed_link(name: str) -> Link:
    """A link by its name; raises `SelectorError` when it is none."""
    link = Link.parse(name)
    return Link(_placed(link.source), _placed(link.target))


def _placed(node: Node) -> Node:
    """A node with its region, which a file about one region need not name."""
    if node.region is None and node.role not in _OUTSIDE:
        return replace(node, region=_REGION)
    return node

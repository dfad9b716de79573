"""Which nodes and links a region has, and which way a link crosses its border."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from payresil.core.topology import Link, Node, Topology


def nodes_of(topology: Topology, region: str) -> list[Node]:
    """The nodes of a region."""
    return [node for node in topology.nodes if node.region == region]


def border_of(topology: Topology, region: str) -> list[Link]:
    """The links between a region and everywhere else."""
    return [x for x in topology.links if (x.source.region == region) != (x.target.region == region)]


def between(topology: Topology, region: str, others: Collection[str]) -> list[Link]:
    """The links between a region and others, or places outside of any: operator, router, psp."""
    return [x for x in border_of(topology, region) if _beyond(x, region) in others]


def neighbours(topology: Topology, region: str) -> list[str]:
    """What a region has links to: other regions, and places outside of any."""
    return sorted({_beyond(link, region) for link in border_of(topology, region)})


def _beyond(link: Link, region: str) -> str:
    """What is on the other side: the region, or the place, of a link's other end."""
    end = link.target if link.source.region == region else link.source
    return end.region or end.role


def regions_of(topology: Topology) -> list[str]:
    """The names of the regions."""
    return sorted({node.region for node in topology.nodes if node.region is not None})


def are_apart(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A border has two sides."""
    if not given["others"] or given["region"] in given["others"]:
        yield "others", "other regions than `region`, or places: operator, router, psp"

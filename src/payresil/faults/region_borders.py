"""Which nodes and links a region has, and which way a link crosses its border."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from payresil.core.topology import Link, Node, Topology


def nodes_of(topology: Topology, region: str) -> list[Node]:
    """The nodes of a region."""
    return [node for node in topology.nodes if node.region == region]


def border_of(topology: Topology, region: str) -> list[Link]:
    """The links between a region and everywhere else."""
    return [x for x in topology.links if (x.source.region == region) != (x.target.region == region)]


def between(topology: Topology, one: str, other: str) -> list[Link]:
    """The links between two regions."""
    return [x for x in topology.links if {x.source.region, x.target.region} == {one, other}]


def regions_of(topology: Topology) -> list[str]:
    """The names of the regions."""
    return sorted({node.region for node in topology.nodes if node.region is not None})


def are_different(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A border has two sides."""
    if given["one"] == given["other"]:
        yield "other", "another region than `one`"

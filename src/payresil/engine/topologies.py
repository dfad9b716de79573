"""Nodes and links of the systems that payresil starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations

from payresil.core.system import Regions, System
from payresil.core.topology import Link, Node, Topology

#: The third place: who decides which region takes payments, and where backups are kept.
WITNESS, ARCHIVE = "w/witness", "w/archive"


def topology_of(system: System) -> Topology:
    """The topology that a system file asks for: of one region, or of two."""
    if system.regions is None:
        return one_region(system)
    return two_regions(system, system.regions)


def one_region(system: System) -> Topology:
    """customers → router → balancer → service instances → database and PSP.

    The PSP sends its webhooks through the router, as the customers do. A system that needs no
    database has no node for one; what its compose project has of its own is a node where the system
    file names it under ``service.nodes``.
    """
    has_database = system.needs.database != "none"
    called = [*(["a/db"] if has_database else []), *(f"a/{role}" for role in system.service.nodes)]
    services = _services(system, "a")
    nodes = ["customers", "router", "a/lb", *services, *called, "psp"]
    links = ["customers->router", "router->a/lb", "psp->router"]
    for service in services:
        links += [f"a/lb->{service}", f"{service}->psp", *(f"{service}->{node}" for node in called)]
    return _topology(nodes, links)


def two_regions(system: System, regions: Regions) -> Topology:
    """Two regions of which one takes payments, and a third place with the witness and the archive.

    The active region has two databases, the other one. Each can be the source of any other, so
    there is a link for every pair, both ways; the archive pulls from whichever is the primary.
    `operator` is where remedies act from.
    """
    active, standby = regions.active, regions.standby
    own = {active: [f"{active}/db", f"{active}/db.2"], standby: [f"{standby}/db"]}
    databases = [*own[active], *own[standby]]
    nodes = ["customers", "operator", "router"]
    links = ["customers->router", "psp->router", "operator->router"]
    for region in own:
        nodes += [f"{region}/lb", *_services(system, region), *own[region]]
        links += [f"router->{region}/lb", f"operator->{region}/lb"]
        links += _of_services(system, region, own[region])
    links += [f"{standby}->{source}" for standby, source in permutations(databases, 2)]
    links += [f"{ARCHIVE}->{database}" for database in databases]
    links += [f"operator->{node}" for node in (*databases, WITNESS)]
    return _topology([*nodes, WITNESS, ARCHIVE, "psp"], links)


def _of_services(system: System, region: str, databases: Iterable[str]) -> Iterator[str]:
    for service in _services(system, region):
        yield f"{region}/lb->{service}"
        yield from (f"{service}->{called}" for called in ("psp", WITNESS, *databases))


def _services(system: System, region: str) -> list[str]:
    return [f"{region}/service.{n}" for n in range(1, system.service.instances + 1)]


def _topology(nodes: Iterable[str], links: Iterable[str]) -> Topology:
    return Topology(tuple(map(Node.parse, nodes)), tuple(map(Link.parse, links)))

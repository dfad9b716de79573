"""What a system file must obey where its system has two regions, and where it has one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from payresil.core.problems import Problem, nearest, shown
from payresil.core.system import Regions, System
from payresil.core.topology import Node
from payresil.engine.keeping import SNAPSHOT_TABLES
from payresil.engine.places import Places
from payresil.engine.topologies import WITNESS

#: Keys that say nothing of a system with one region.
_OF_REGIONS = ("lease", "epoch_header", "snapshots")

_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_THIRD_PLACE = Node.parse(WITNESS).region


def check_regions(system: System, at: Places) -> Iterator[Problem]:
    """Everything about regions in which a well-typed system file still cannot be right."""
    if system.regions is None:
        yield from _of_one_region(system, at)
        return
    yield from _region_names(system.regions, at)
    yield from _parts(system, at)
    yield from _lease(system, at)
    yield from _snapshots(system, at)


def _of_one_region(system: System, at: Places) -> Iterator[Problem]:
    words = "only together with regions: {active: …, standby: …}"
    for key in _OF_REGIONS:
        if getattr(system, key):
            yield Problem(at.key(key), f"the key {key}", f"{key} {words}")
    if system.replication != "asynchronous":
        yield Problem(at("replication"), system.replication, f"replication {words}")


def _region_names(regions: Regions, at: Places) -> Iterator[Problem]:
    for key in ("active", "standby"):
        name = getattr(regions, key)
        if not _REGION.match(name) or name == _THIRD_PLACE:
            words = f"a short name in lower case, and not {_THIRD_PLACE}, which has the witness"
            yield Problem(at("regions", key), shown(name), words)
    if regions.active == regions.standby:
        words = "another region than `active`"
        yield Problem(at("regions", "standby"), shown(regions.standby), words)


def _parts(system: System, at: Places) -> Iterator[Problem]:
    if system.service.form != "command":
        where = at.key("service", system.service.form)
        words = "a command: payresil starts both regions as processes"
        yield Problem(where, f"the key {system.service.form}", words)
    if system.needs.database == "none":
        where = at("needs", "database")
        yield Problem(where, "none", "postgresql, which is replicated from region to region")


def _lease(system: System, at: Places) -> Iterator[Problem]:
    if system.lease is None:
        words = "lease, the SQL by which regions agree on which of them takes payments"
        yield Problem(at("regions"), "no lease", words)
        return
    for key in ("schema", "state", "take", "history"):
        if not getattr(system.lease, key).strip():
            yield Problem(at("lease", key), "nothing", "SQL over the witness's database")
    if "$1" not in system.lease.take:
        yield Problem(at("lease", "take"), "no $1", "$1, which stands for the region")


def _snapshots(system: System, at: Places) -> Iterator[Problem]:
    if not system.snapshots:
        words = f"snapshots, a SELECT for each of {', '.join(SNAPSHOT_TABLES)}"
        yield Problem(at("regions"), "no snapshots", words)
    for name in system.snapshots:
        if name not in SNAPSHOT_TABLES:
            words = f"one of the keys {', '.join(SNAPSHOT_TABLES)}"
            near = nearest(name, SNAPSHOT_TABLES)
            yield Problem(at.key("snapshots", name), f"the key {shown(name)}", words, near)

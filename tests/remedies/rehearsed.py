"""Two regions on a clock of their own, in which remedies act: every wait is over at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from payresil.core.protocols import (
    Environment,
    RemedyLog,
    RemedyStopped,
    Standing,
    Unreachable,
)
from payresil.core.registry import remedies
from payresil.core.topology import Node, Topology
from payresil.engine.system_file import load_system
from payresil.engine.topologies import two_regions

#: How fast a standby gets what it lacks.
BYTES_PER_S = 1000


@dataclass
class Database:
    """One database; `gets` says whether it gets anything from its source."""

    is_primary: bool = False
    timeline: int = 1
    received: int = 1000
    source: Node | None = None
    reachable: bool = True
    gets: bool = True


class World:
    """`Environment`, and its databases, regions and nodes. `done` has what was asked, in order."""

    def __init__(self) -> None:
        system = load_system("refpay-two-regions")
        assert system.regions is not None
        self.topology: Topology = two_regions(system, system.regions)
        names = ("a/db", "a/db.2", "b/db")
        self.all = {Node.parse(name): Database(source=Node("a", "db")) for name in names}
        self["a/db"].is_primary, self["a/db"].source = True, None
        self.regions = self.nodes = self
        self.databases = Databases(self)
        self.now_s = 0.0
        self.active = "a"
        self.mode = "asynchronous"
        self.chooses_first = False
        self.serving = {"a", "b"}
        self.cut_off: set[str] = set()  # regions to which an operator has no way
        self.down: set[str] = set()  # nodes that a fault has down
        self.lease_held_s = 0.0  # when the lease of the other region runs out
        self.epoch = 1
        self.pending: list[Mapping[str, int] | Exception] = []
        self.waited_for_is_there: bool | Exception = True
        self.archive_reachable = True
        self.done: list[str] = []
        self._later: list[tuple[float, Callable[[], None]]] = []

    def __getitem__(self, name: str) -> Database:
        return self.all[Node.parse(name)]

    def at(self, at_s: float, happens: Callable[[], None]) -> None:
        """Have something happen when the clock gets there."""
        self._later.append((at_s, happens))

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        for moment in [each for each in self._later if each[0] <= self.now_s]:
            self._later.remove(moment)
            moment[1]()
        for database in self.all.values():
            if database.source is not None and database.gets:
                ahead = self.all[database.source].received - database.received
                database.received += max(0, min(ahead, round(BYTES_PER_S * seconds)))

    def monotonic(self) -> float:
        return self.now_s

    # --- databases ---

    def standing(self, node: Node) -> Standing:
        one = self._reached(node)
        source = None if one.source is None else str(one.source)
        return Standing(one.is_primary, one.timeline, one.received, one.received, source)

    def rows(self, node: Node, sql: str, *parameters: object) -> list[dict[str, Any]]:
        self._reached(node)
        if isinstance(self.waited_for_is_there, Exception):
            raise self.waited_for_is_there
        return [{"there": self.waited_for_is_there}]

    def promote(self, node: Node) -> None:
        one = self._reached(node)
        assert not one.is_primary
        self.done.append(f"promote {node}")
        one.is_primary, one.source = True, None
        one.timeline += 1

    def follow(self, node: Node, source: Node) -> None:
        one = self._reached(node)
        assert not one.is_primary
        self.done.append(f"follow {node} {source}")
        one.source = source

    def rejoin(self, node: Node, source: Node) -> str:
        one = self._reached(node)
        self.done.append(f"rejoin {node} {source}")
        one.is_primary, one.source, one.timeline = False, source, self.all[source].timeline
        return "rewound"

    def replicate(self, node: Node, mode: str) -> None:
        assert self._reached(node).is_primary
        self.done.append(f"replicate {node} {mode}")

    def fence(self, node: Node) -> None:
        self.done.append(f"fence {node}")
        one = self.all[node]
        one.is_primary, one.source, one.reachable = False, None, True

    def archive_from(self, node: Node) -> None:
        if not self.archive_reachable:
            raise Unreachable("the archive is away")
        self.done.append(f"archive {node}")

    @contextmanager
    def restored(self, at_us: int) -> Iterator[Node]:
        self.done.append(f"restore {at_us}")
        try:
            yield Node("w", "restored")
        finally:
            self.done.append("restored is gone")

    def snapshot(self, moment: str, node: Node) -> None:
        self.done.append(f"snapshot {moment} {node}")

    def _reached(self, node: Node) -> Database:
        if not self.all[node].reachable:
            raise Unreachable(f"{node} is away")
        return self.all[node]

    # --- regions ---

    def serves(self, region: str) -> bool:
        return region in self.serving

    def knock(self, region: str) -> None:
        if region in self.cut_off:
            raise Unreachable(f"region {region} is out of reach")

    def send_customers_to(self, region: str) -> None:
        self.done.append(f"switch {region}")
        self.active = region

    def take_lease(self, region: str) -> tuple[int | None, int]:
        left_ms = round(1000 * (self.lease_held_s - self.now_s))
        if left_ms > 0:
            return None, left_ms
        self.epoch += 1
        self.done.append(f"lease {region} {self.epoch}")
        return self.epoch, 2000

    def unknown(self, region: str) -> Mapping[str, int]:
        found = self.pending.pop(0) if self.pending else {"payments": 0, "refunds": 0}
        if isinstance(found, Exception):
            raise found
        return found

    def reconcile(self, region: str) -> Mapping[str, Any]:
        self.done.append(f"reconcile {region}")
        return {"remedied": 3}

    # --- nodes ---

    @contextmanager
    def held(self, node: Node) -> Iterator[None]:
        self.stop(node)
        yield
        self.start(node)

    def runs(self, node: Node) -> bool:
        return str(node) not in self.down

    def stop(self, node: Node) -> None:
        self.done.append(f"stop {node}")

    def start(self, node: Node) -> None:
        self.done.append(f"start {node}")


class Databases:
    """A world's databases: `nodes` is a method there, and the control of nodes in a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def nodes(self) -> Sequence[Node]:
        return tuple(self._world.all)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)


class Steps:
    """`RemedyLog` on the world's clock. The run ends after `ends_s`."""

    def __init__(self, world: World, ends_s: float = 60.0) -> None:
        self._world = world
        self._ends_s = ends_s
        self.taken: list[tuple[str, float, float | None]] = []  # None: it failed
        self.found: dict[str, dict[str, Any]] = {}
        self.decides: Callable[[], None] = lambda: None

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.taken]

    @property
    def failed(self) -> list[str]:
        return [name for name, _, end_s in self.taken if end_s is None]

    def took_s(self, name: str) -> float:
        ((began_s, end_s),) = [times for step, *times in self.taken if step == name]
        assert end_s is not None
        return round(end_s - began_s, 6)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        began_s, at = self._world.now_s, len(self.taken)
        self.taken.append((name, began_s, None))
        yield self.found.setdefault(name, {})
        self.taken[at] = (name, began_s, self._world.now_s)

    def decide(self) -> None:
        with self.step("decide"):
            self.decides()

    def until(self, holds: Callable[[], bool], every_s: float = 0.1) -> None:
        while not holds():
            self._world.advance(every_s)
            if self._world.now_s >= self._ends_s:
                raise RemedyStopped("the run ended")


def rehearse(world: World, name: str, steps: Steps | None = None, **parameters: Any) -> Steps:
    """Have a remedy act; its steps."""
    steps = steps or Steps(world)
    environment = cast(Environment, world)
    remedies.get(name).call(environment, cast(RemedyLog, steps), **parameters)
    return steps

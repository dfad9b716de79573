"""Replicated databases under control of an operator: `core.protocols.Databases`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from payresil.backends.embedded.postgres_roles import AUDITOR, OPERATOR, SERVICE
from payresil.backends.embedded.regions.archiving import Archiving
from payresil.backends.embedded.regions.members import ARCHIVE, WITNESS, Members
from payresil.backends.embedded.regions.over_tls import answers
from payresil.backends.embedded.regions.snapshots import read_snapshot
from payresil.backends.embedded.replication import operating, standby
from payresil.backends.embedded.replication.questions import ask
from payresil.core.protocols import Assembly, EnvironmentBroke, Nodes, Standing, Unreachable
from payresil.core.topology import Node


class ReplicatedDatabases:
    """What operators do goes over their links; what takes a machine, through `nodes`.

    `knock` raises `Unreachable` when the way to a region, or to the third place, is cut: the
    machines there are out of reach then, too.
    """

    def __init__(
        self,
        assembly: Assembly,
        members: Members,
        nodes: Nodes,
        knock: Callable[[str], None],
        archiving: Archiving,
    ) -> None:
        self._assembly = assembly
        self._members = members
        self._nodes = nodes
        self._knock = knock
        self._archiving = archiving
        self._restored: dict[Node, str] = {}

    @property
    def mode(self) -> str:
        """What the first primary was set to wait for."""
        return self._assembly.system.replication

    @property
    def chooses_first(self) -> bool:
        """Whether the runbook has the flaw that it promotes the first standby."""
        flaw = self._assembly.system.service.flaws.get(self._assembly.flaw or "")
        return flaw is not None and flaw.promotes == "first"

    def nodes(self) -> Sequence[Node]:
        """Every database, the first primary first."""
        return tuple(self._members.databases)

    def standing(self, node: Node) -> Standing:
        """What it is now."""
        found = operating.standing(self._url(node, OPERATOR))
        source = self._members.source_at(node, found.source)
        return Standing(
            found.is_primary,
            found.timeline,
            found.received,
            found.replayed,
            None if source is None else str(source),
        )

    def rows(self, node: Node, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """The answer of a database, the witness included, to one statement; it is committed."""
        return ask(self._url(node, SERVICE if node == WITNESS else OPERATOR), sql, *parameters)

    def promote(self, node: Node) -> None:
        """Make a standby the primary; returns when it takes writes."""
        operating.promote(self._url(node, OPERATOR))
        self._assembly.on_event("node", str(node), "promoted")

    def follow(self, node: Node, source: Node) -> None:
        """Have a running standby stream from `source`; returns when it does."""
        address = self._members.source_address(node, source)
        operating.follow(self._url(node, OPERATOR), standby.conninfo(address), address)
        self._assembly.on_event("node", str(node), "follows", source=str(source))

    def rejoin(self, node: Node, source: Node) -> str:
        """Make a former primary a standby of `source`; returns when it streams."""
        self._knock(str(node.region))
        address = self._members.source_address(node, source)
        with self._nodes.held(node):
            how = self._rewound_or_copied(node, address)
        operating.await_streaming(self._url(node, OPERATOR), address)
        self._assembly.on_event("node", str(node), "rejoined", source=str(source), how=how)
        return how

    def _rewound_or_copied(self, node: Node, address: str) -> str:
        try:
            return standby.rejoin(self._members.named(node), address)
        except EnvironmentBroke as error:
            if answers(address):
                raise
            raise Unreachable(f"{node} does not reach its source: {error}") from error

    def replicate(self, node: Node, mode: str) -> None:
        """Set what the primary `node` waits for: asynchronous, synchronous or quorum."""
        operating.replicate(self._url(node, OPERATOR), mode, self._members.waited_for(node, mode))
        self._assembly.on_event("node", str(node), "replicates", mode=mode)

    def fence(self, node: Node) -> None:
        """Stop a primary, and have it come back as a standby without a source.

        One that runs must be reached itself: what a partition hides is not stopped.
        """
        self._knock(str(node.region))
        if self._nodes.runs(node) and not answers(self._members.operators_address(node)):
            raise Unreachable(f"{node} runs, and there is no way to it")
        with self._nodes.held(node):
            standby.stand_alone(self._members.named(node))
        self._assembly.on_event("node", str(node), "fenced")

    def archive_from(self, node: Node) -> None:
        """Have the archive pull the write-ahead log of `node` from now on."""
        self._knock(str(ARCHIVE.region))
        self._archiving.pull_from(node, self._nodes)

    @contextmanager
    def restored(self, at_us: int) -> Iterator[Node]:
        """A fresh database with all that was committed until `at_us`."""
        self._knock(str(ARCHIVE.region))
        with self._archiving.restored(at_us) as (node, url):
            self._restored[node] = url
            try:
                yield node
            finally:
                del self._restored[node]

    def snapshot(self, moment: str, node: Node) -> None:
        """Write down what a database holds now."""
        found = read_snapshot(self._url(node, AUDITOR), self._assembly.system.snapshots)
        at_ns = time.monotonic_ns()
        for table, rows in found.rows.items():
            named = [{"moment": moment, "node": str(node), **row} for row in rows]
            self._assembly.keep(table, named, at_ns)
        counts = {table: len(rows) for table, rows in found.rows.items()}
        unread = dict(found.unreadable)
        self._assembly.on_event(
            "node", str(node), "read", moment=moment, rows=counts, unreadable=unread
        )

    def _url(self, node: Node, role: str) -> str:
        if node in self._restored:
            return self._restored[node]
        return self._members.operators_url(node, role)

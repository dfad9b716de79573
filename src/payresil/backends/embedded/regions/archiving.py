"""The archive at the third place: whose log it pulls, and what is restored from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.postgres_roles import AUDITOR, OPERATOR, Roles
from payresil.backends.embedded.regions.members import ARCHIVE, Members
from payresil.backends.embedded.replication import operating
from payresil.backends.embedded.replication.archive import Archive
from payresil.backends.embedded.replication.restoring import await_restored, restore
from payresil.backends.embedded.workshop import ProcessWorkshop
from payresil.core.protocols import EnvironmentBroke, Nodes, Unreachable
from payresil.core.topology import Link, Node


class Archiving:
    """Backups of the databases, taken from the primary over the archive's own links."""

    def __init__(
        self, workshop: ProcessWorkshop, members: Members, roles: Roles, primary: Node
    ) -> None:
        """Nothing is pulled yet."""
        self._workshop = workshop
        self._members = members
        self._roles = roles
        self._source = primary
        self._numbers = count(1)
        self.part: NodeProcess
        self._archive: Archive
        self.part, self._archive = workshop.archive(ARCHIVE, roles, self._address(primary))

    def begin(self) -> None:
        """Pull the log of the first primary from now on, and take a base backup of it."""
        self.part.launch()
        self.part.await_ready()
        self._archive.take_base_backup()

    def pull_from(self, node: Node, nodes: Nodes) -> None:
        """Pull the log of another primary from now on.

        Raises:
            Unreachable: when the archive cannot get through to it; it stays with the old one.
        """
        if node == self._source:
            return
        with nodes.held(ARCHIVE):
            self._archive.pull_from(self._address(node))
            self._source = node

    @contextmanager
    def restored(self, at_us: int) -> Iterator[tuple[Node, str]]:
        """A database as it was at a moment, and its URL for the auditor.

        Raises:
            Unreachable: when the primary cannot be asked how far its log goes.
            EnvironmentBroke: when the archive does not reach that far, or is damaged.
        """
        mark = operating.mark(self._members.operators_url(self._source, OPERATOR))
        self._archive.await_received(mark)
        node = Node("w", "restored", next(self._numbers))
        part, database = self._workshop.replica(node, self._roles, empty=True)
        restore(database, self._archive, at_us)
        part.launch()
        try:
            part.await_ready()
            url = database.url(AUDITOR, part.address)
            try:
                await_restored(url)
            except Unreachable as error:
                raise EnvironmentBroke(f"the restored database: {error}") from error
            yield node, url
        finally:
            part.kill()

    def _address(self, node: Node) -> str:
        return self._members.links.address(Link(ARCHIVE, node))

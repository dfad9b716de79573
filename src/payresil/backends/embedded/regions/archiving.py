"""The archive at the third place: whose log it pulls, and what is restored from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.backends.embedded.parts import Part
from payresil.backends.embedded.regions.members import Members
from payresil.backends.embedded.workshop import ProcessWorkshop
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node


class Archiving:
    """Backups of the databases."""

    def __init__(
        self, workshop: ProcessWorkshop, members: Members, parts: dict[Node, Part]
    ) -> None:
        self._workshop = workshop
        self._members = members
        self._parts = parts

    def begin(self, primary: Node) -> None:
        """Take a base backup of the primary, and pull its log from then on."""

    def pull_from(self, node: Node) -> None:
        """Pull the log of another primary from now on."""

    @contextmanager
    def restored(self, at_us: int) -> Iterator[tuple[Node, str]]:
        """A database as it was at a moment, and its URL for the auditor."""
        raise EnvironmentBroke("there is no archive yet")
        yield

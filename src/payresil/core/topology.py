"""Nodes, the links between them, and the selectors that name them.

A node is ``region/role[.n]`` (``a/service.1``, ``a/db``) or, outside regions, ``role``
(``psp``, ``router``). A link is ``from->to``. A selector may leave parts out:
``service->db`` means every link from any service instance to any database. One that is the whole
name of a node or link means that alone: ``a/db`` is not ``a/db.2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")
_NODE = re.compile(
    r"(?:(?P<region>[a-z0-9-]+)/)?(?P<role>[a-z][a-z0-9_-]*)(?:\.(?P<n>[0-9]{1,6}))?\Z"
)
_REGION = re.compile(r"[a-z0-9-]+\Z")


class SelectorError(ValueError):
    """A selector that cannot be read or that matches nothing."""


@dataclass(frozen=True, slots=True)
class Node:
    """One running part of the system. Nodes sort by region, role and number."""

    region: str | None
    role: str
    n: int | None = None

    @classmethod
    def parse(cls, text: str) -> Node:
        """Read ``region/role.n``; parts may be left out.

        Raises:
            SelectorError: when `text` is not a node name.
        """
        match = _NODE.match(text.strip())
        if match is None:
            raise SelectorError(f"{text!r} is no node name such as a/service.1, a/db or psp")
        return cls(match["region"], match["role"], int(match["n"]) if match["n"] else None)

    def matches(self, other: Node) -> bool:
        """Whether `other` has every part that this one names."""
        return (
            self.role == other.role
            and self.region in (None, other.region)
            and self.n in (None, other.n)
        )

    def __lt__(self, other: Node) -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[str, str, int]:
        return (self.region or "", self.role, -1 if self.n is None else self.n)

    def __str__(self) -> str:
        region = f"{self.region}/" if self.region else ""
        return f"{region}{self.role}" + (f".{self.n}" if self.n is not None else "")


@dataclass(frozen=True, slots=True)
class Link:
    """A directed connection: `source` connects, `target` listens. Links sort by their ends."""

    source: Node
    target: Node

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read ``from->to``.

        Raises:
            SelectorError: when `text` is not a link name.
        """
        source, arrow, target = text.partition("->")
        if not arrow:
            raise SelectorError(f"{text!r} is no link such as service->psp")
        return cls(Node.parse(source), Node.parse(target))

    def matches(self, other: Link) -> bool:
        """Whether both ends match."""
        return self.source.matches(other.source) and self.target.matches(other.target)

    def __lt__(self, other: Link) -> bool:
        return (self.source, self.target) < (other.source, other.target)

    def __str__(self) -> str:
        return f"{self.source}->{self.target}"


@dataclass(frozen=True, slots=True)
class Topology:
    """The nodes and links of a system. Node and link names are unique."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def select_nodes(self, selector: str) -> tuple[Node, ...]:
        """Every node that `selector` names.

        Raises:
            SelectorError: when there is none.
        """
        wanted = Node.parse(selector)
        if wanted in self.nodes:
            return (wanted,)
        return _some(selector, "node", self.nodes, [n for n in self.nodes if wanted.matches(n)])

    def select_links(self, selector: str) -> tuple[Link, ...]:
        """Every link that `selector` names.

        Raises:
            SelectorError: when there is none.
        """
        wanted = Link.parse(selector)
        sources = _meant(wanted.source, {link.source for link in self.links})
        targets = _meant(wanted.target, {link.target for link in self.links})
        found = [x for x in self.links if x.source in sources and x.target in targets]
        return _some(selector, "link", self.links, found)


def _meant(wanted: Node, known: set[Node]) -> set[Node]:
    """Those of `known` that a name means: itself where it is one, else all that it fits."""
    return {wanted} if wanted in known else {node for node in known if wanted.matches(node)}


def region_named(text: str) -> str:
    """`text`, when it can be the name of a region.

    Raises:
        SelectorError: when it cannot.
    """
    if not _REGION.match(text.strip()):
        raise SelectorError(f"{text!r} is no name of a region such as a")
    return text.strip()


def _some(selector: str, what: str, known: Iterable[object], found: list[_T]) -> tuple[_T, ...]:
    if not found:
        names = ", ".join(sorted(str(one) for one in known))
        raise SelectorError(f"{selector!r} matches no {what}; there are {names}")
    return tuple(found)

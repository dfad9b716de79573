"""Nodes that are cut off from all others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from payresil.core.protocols import EnvironmentBroke, Links, Toxic
from payresil.core.topology import Node, Topology

#: Cuts a node off while the context lasts.
Cut = Callable[[Node], AbstractContextManager[None]]

_SILENCE = tuple(Toxic("timeout", stream, {"timeout": 0}) for stream in ("upstream", "downstream"))


class Isolation:
    """`core.protocols.Networks`: a node is cut off while any fault wants it."""

    def __init__(self, nodes: Collection[Node], cut: Cut, report: Callable[..., None]) -> None:
        """`report` is told when a node is cut off and when it is back."""
        self._nodes = nodes
        self._cut = cut
        self._report = report
        self._wanted: Counter[Node] = Counter()
        self._contexts: dict[Node, ExitStack] = {}
        self._lock = threading.RLock()

    @contextmanager
    def disconnect(self, node: Node) -> Iterator[None]:
        """Cut a node off from all others while the context lasts.

        Raises:
            EnvironmentBroke: when there is no such node, or it cannot be done or undone.
        """
        if node not in self._nodes:
            raise EnvironmentBroke(f"{node} is no node that this backend runs")
        with self._lock:
            if node not in self._contexts:
                self._leave(node)
            self._wanted[node] += 1
        try:
            yield
        finally:
            with self._lock:
                self._wanted[node] = max(0, self._wanted[node] - 1)
                if not self._wanted[node]:  # `heal` may have been there before
                    self._return(node)

    def heal(self) -> None:
        """Bring every node back.

        Raises:
            EnvironmentBroke: when one does not come back; the others do.
        """
        with self._lock, ExitStack() as stack:
            self._wanted.clear()
            for node in self._contexts:
                stack.callback(self._return, node)

    def _leave(self, node: Node) -> None:
        with ExitStack() as stack:
            stack.enter_context(self._cut(node))
            self._contexts[node] = stack.pop_all()
        self._report("node", str(node), "disconnected")

    def _return(self, node: Node) -> None:
        context = self._contexts.pop(node, None)
        if context is not None:
            context.close()
            self._report("node", str(node), "connected")


@contextmanager
def silenced(links: Links, topology: Topology, node: Node) -> Iterator[None]:
    """Silence every link of a node, both ways, while the context lasts.

    Raises:
        EnvironmentBroke: when that fails; then none is.
    """
    with ExitStack() as stack:
        for link in topology.links:
            if node in (link.source, link.target):
                stack.enter_context(links.apply(str(link), _SILENCE))
        yield

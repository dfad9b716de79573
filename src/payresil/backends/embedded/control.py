"""What may be done to nodes. What a node is in, is the union of what faults and operators want."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto

from payresil.backends.embedded.parts import Part
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node


class _State(Enum):
    RUNNING = auto()
    PAUSED = auto()
    DOWN = auto()


class NodeControl:
    """`core.protocols.Nodes`: a node is down while any fault wants it, else paused while any does.

    Faults may overlap and heal in any order. A node that an operator holds is down as well, and
    healing leaves it so: it would start on files that are being changed.
    """

    def __init__(
        self,
        parts: Mapping[Node, Part],
        *,
        leaves: Callable[[Node], None],
        returns: Callable[[Node], None],
    ) -> None:
        """`leaves` is called before a node stops answering, `returns` after it answers again."""
        self._parts = parts
        self._leaves = leaves
        self._returns = returns
        self._down: Counter[Node] = Counter()
        self._paused: Counter[Node] = Counter()
        self._held: Counter[Node] = Counter()
        self._states = dict.fromkeys(parts, _State.RUNNING)
        self._lock = threading.RLock()

    def kill(self, node: Node) -> None:
        """End it at once, as a crash would; returns when all of it is gone."""
        self._change(node, self._down, 1)

    def stop(self, node: Node) -> None:
        """End it in order, as a deployment does; returns when it has ended.

        One that another fault has down already is down.
        """
        self._change(node, self._down, 1, in_order=True)

    def pause(self, node: Node) -> None:
        """Stop it in its tracks."""
        self._change(node, self._paused, 1)

    def resume(self, node: Node) -> None:
        """Let a paused one go on, unless another fault still pauses it."""
        self._change(node, self._paused, -1)

    def start(self, node: Node) -> None:
        """Start one that was ended, on its old address; returns when it serves.

        One that another fault still wants down stays down, one that another pauses is paused.
        """
        self._change(node, self._down, -1)

    @contextmanager
    def held(self, node: Node) -> Iterator[None]:
        """Ended in order while the context lasts, whatever heals meanwhile; then it serves again.

        One that a fault wants down stays down afterwards, one that another pauses is paused.
        """
        self._change(node, self._held, 1, in_order=True)
        try:
            yield
        finally:
            self._change(node, self._held, -1)

    def runs(self, node: Node) -> bool:
        """Whether it is neither down nor paused."""
        self._known(node)
        with self._lock:
            return self._states[node] is _State.RUNNING

    def heal(self) -> None:
        """Bring back every node that a fault has down or paused, in the order they started in.

        Raises:
            EnvironmentBroke: when one does not come back; the others do.
        """
        wrong = []
        with self._lock:
            self._down.clear()
            self._paused.clear()
            for node in self._parts:
                try:
                    self._settle(node)
                except EnvironmentBroke as error:
                    wrong.append(str(error))
        if wrong:
            raise EnvironmentBroke("; ".join(wrong))

    def _change(
        self, node: Node, wanted: Counter[Node], by: int, *, in_order: bool = False
    ) -> None:
        self._known(node)
        with self._lock:
            wanted[node] = max(0, wanted[node] + by)  # `heal` may have been there before
            self._settle(node, in_order=in_order)

    def _known(self, node: Node) -> None:
        if node not in self._parts:
            raise EnvironmentBroke(f"{node} is no node that this backend runs")

    def _settle(self, node: Node, *, in_order: bool = False) -> None:
        """Bring a node from the state it is in to the one that all wishes add up to."""
        part, state, wanted = self._parts[node], self._states[node], self._wanted(node)
        if state is wanted:
            return
        if state is _State.RUNNING:
            self._leaves(node)
        if wanted is _State.DOWN:
            part.stop() if in_order else part.kill()
        elif state is _State.DOWN:
            part.launch()
            part.await_ready()
        if wanted is _State.PAUSED:
            part.pause()
        elif state is _State.PAUSED and wanted is _State.RUNNING:
            part.resume()
        if wanted is _State.RUNNING:
            self._returns(node)
        self._states[node] = wanted

    def _wanted(self, node: Node) -> _State:
        if self._down[node] or self._held[node]:
            return _State.DOWN
        return _State.PAUSED if self._paused[node] else _State.RUNNING

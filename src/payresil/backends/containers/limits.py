"""How much memory and CPU time a container may use: the least that any fault on it allows."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import docker.errors

from payresil.backends.containers.container_node import ContainerNode
from payresil.backends.containers.engine import asked, reason
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node

_MEMORY, _CPU = "memory", "cpu"

_PERIOD_US = 100_000

#: The kernel grants no less in a period, and Docker no less memory.
_LEAST_US = 1_000
_LEAST_BYTES = 6 * 2**20

_UNLIMITED = -1

_CURRENT_USAGE = re.compile(r"current usage: ([0-9]+)")


class ContainerLimits:
    """`core.protocols.Limits`, of containers."""

    def __init__(
        self,
        parts: Mapping[Node, ContainerNode],
        memory_of_machine: int,
        report: Callable[..., None],
    ) -> None:
        """`memory_of_machine`, in bytes, is what one may use that is not limited."""
        self._parts = parts
        self._memory_of_machine = memory_of_machine
        self._report = report
        self._wanted: defaultdict[tuple[str, Node], list[float]] = defaultdict(list)
        self._lock = threading.RLock()

    @contextmanager
    def memory(self, node: Node, limit_bytes: int) -> Iterator[None]:
        """Let a node have so much memory and no more while the context lasts.

        One that wanted more and was killed for it is started again at the end.

        Raises:
            EnvironmentBroke: when that cannot be, as where it uses more already and the engine
                refuses.
        """
        if limit_bytes < _LEAST_BYTES:
            raise EnvironmentBroke(f"{node}: a container has 6 MiB of memory at the least")
        with self._limited(_MEMORY, node, limit_bytes):
            yield

    @contextmanager
    def cpu(self, node: Node, cores: float) -> Iterator[None]:
        """Let a node have so much CPU time, in cores, and no more while the context lasts.

        Raises:
            EnvironmentBroke: when that cannot be.
        """
        if cores * _PERIOD_US < _LEAST_US:
            raise EnvironmentBroke(f"{node}: a container has 1% of a core at the least")
        with self._limited(_CPU, node, cores):
            yield

    def heal(self) -> None:
        """Lift every limit, and start again what was killed for one.

        Raises:
            EnvironmentBroke: when one cannot be lifted; the others are.
        """
        with self._lock, ExitStack() as stack:
            for (what, node), limits in self._wanted.items():
                if limits:
                    limits.clear()
                    stack.callback(self._settle, what, node)

    @contextmanager
    def _limited(self, what: str, node: Node, limit: float) -> Iterator[None]:
        if node not in self._parts:
            raise EnvironmentBroke(f"{node} is no node that this backend runs")
        limits = self._wanted[what, node]
        with self._lock:
            limits.append(limit)
            try:
                self._settle(what, node)
            except EnvironmentBroke:
                limits.remove(limit)
                raise
        try:
            yield
        finally:
            with self._lock:
                if limit in limits:  # `heal` may have been there before
                    limits.remove(limit)
                    self._settle(what, node)

    def _settle(self, what: str, node: Node) -> None:
        """Give a node the least that is wanted of it, or all there is."""
        limit = min(self._wanted[what, node], default=None)
        settle = self._settle_memory if what == _MEMORY else self._settle_cpu
        settle(self._parts[node], limit)
        if limit is None:
            self._report("node", str(node), f"{what}_lifted")
        else:
            self._report("node", str(node), f"{what}_limited", limit=limit)

    def _settle_memory(self, part: ContainerNode, limit: float | None) -> None:
        most = self._memory_of_machine if limit is None else int(limit)
        swap = 2 * most if limit is None else most  # counts memory too; -1 would be left out
        if limit is not None:
            part.memory_limited = True  # before: it may be killed at once
        with asked(f"the memory of {part.name} cannot be limited"), _in_use(part, most):
            part.container.update(mem_limit=most, memswap_limit=swap)
        if limit is None:
            if part.ended_by_limit:
                part.launch()
                part.await_ready()
            part.memory_limited = False

    def _settle_cpu(self, part: ContainerNode, limit: float | None) -> None:
        quota_us = _UNLIMITED if limit is None else int(limit * _PERIOD_US)
        with asked(f"the CPU time of {part.name} cannot be limited"):
            part.container.update(cpu_period=_PERIOD_US, cpu_quota=quota_us)


@contextmanager
def _in_use(part: ContainerNode, limit: int) -> Iterator[None]:
    """Say in words that more is in use already, which kernels refuse that have cgroups v1."""
    try:
        yield
    except docker.errors.APIError as error:
        used = _CURRENT_USAGE.search(reason(error))
        if used is None:
            raise
        raise EnvironmentBroke(
            f"{part.name} uses {int(used[1]) / 1e6:.0f} MB of memory already, and this machine "
            f"cannot limit it to {limit / 1e6:.0f} MB while it runs: set a higher limit"
        ) from error

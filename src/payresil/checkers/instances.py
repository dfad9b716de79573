"""Which instances of the service a run had."""

from __future__ import annotations

from payresil.core.run import Run
from payresil.core.topology import Node, SelectorError

_ROLE = "service"


def service_instances(run: Run) -> tuple[str, ...]:
    """The nodes that are instances of the service, as `run.json` lists them, in order."""
    return tuple(name for name in map(str, run.meta.get("nodes") or ()) if is_instance(name))


def is_instance(name: str) -> bool:
    """Whether a node of this name is an instance of the service."""
    try:
        return Node.parse(name).role == _ROLE
    except SelectorError:
        return False

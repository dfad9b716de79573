"""A file that says only in what it differs from another one."""

from __future__ import annotations

from dataclasses import replace

from payresil.core.document import Entry, MapNode, Node

#: The key under which a file names the one that it differs from.
BASED_ON = "based_on"


def base_of(document: MapNode) -> Node | None:
    """What the file is based on, as it says it; None where it stands by itself."""
    entry = document.get(BASED_ON)
    return None if entry is None else entry.value


def alone(document: MapNode) -> MapNode:
    """What the file says itself, but for what it is based on."""
    entries = tuple(entry for entry in document.entries if entry.key != BASED_ON)
    return replace(document, entries=entries)


def layered(base: MapNode, over: MapNode) -> MapNode:
    """`base` with what `over` says instead: mappings key by key, anything else as a whole.

    Every node keeps its place, so that what is wrong is found in the file that says it.
    """
    instead = {entry.key: entry for entry in over.entries}
    kept = [_entry(entry, instead.pop(entry.key, None)) for entry in base.entries]
    return replace(over, entries=(*kept, *instead.values()))


def _entry(base: Entry, over: Entry | None) -> Entry:
    if over is None:
        return base
    if isinstance(base.value, MapNode) and isinstance(over.value, MapNode):
        return replace(over, value=layered(base.value, over.value))
    return over

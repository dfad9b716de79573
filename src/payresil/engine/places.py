"""Where something stands in a file that was read, for those who find fault with it later."""

from __future__ import annotations

from collections.abc import Iterable

from payresil.core.document import MapNode, Node
from payresil.core.problems import Place


class Places:
    """Where something stands in the file, by its path of keys."""

    def __init__(self, document: MapNode) -> None:
        self._document = document

    def __call__(self, *keys: str) -> Place:
        """Where the value begins; for one that was left out, the last key there is."""
        return self._find(keys)[1]

    def key(self, *keys: str) -> Place:
        """Where the key itself stands."""
        return self._find(keys)[0]

    def _find(self, keys: Iterable[str]) -> tuple[Place, Place]:
        node: Node = self._document
        place = node.where
        for key in keys:
            entry = node.get(key) if isinstance(node, MapNode) else None
            if entry is None:
                return place, place
            node, place = entry.value, entry.where
        return place, node.where

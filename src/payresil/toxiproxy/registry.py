"""What a toxic is, and the register of them.

A toxic is a frozen dataclass with one method. Its fields are the attributes of the API: integers
with a default, in the units Toxiproxy gives them. ``pipe`` moves what comes in on a stream to
what goes out, for one direction of one connection. A file of its own in ``toxics/``, decorated
with ``@toxic``, is all that a new one needs.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@dataclass(frozen=True)
class Toxic(ABC):
    """One kind of trouble with its attributes."""

    #: Bytes that may wait in front of this toxic before the sender is held back.
    buffer_bytes: ClassVar[int] = 64 * 1024
    #: Whether taking it away ends the connections of the proxy, because it lost their data.
    cuts_on_removal: ClassVar[bool] = False

    @abstractmethod
    async def pipe(self, stream: Stream) -> None:
        """Move the stream until it ends.

        It may be cancelled at any ``await`` (the toxic is updated, removed, or the connection is
        gone); what it has not forwarded or dropped by then is still in the stream. To return at
        the end of the input passes that end on; to return earlier closes the connection.
        """

    def check(self) -> None:
        """Raise ValueError, saying what to do, where the attributes make no sense."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0:
                raise ValueError(f"{field.name} must not be negative, got {value}")


_T = TypeVar("_T", bound=Toxic)

#: Every registered toxic by the ``type`` that the API knows it by.
TOXICS: dict[str, type[Toxic]] = {}


def toxic(kind: type[_T]) -> type[_T]:
    """Register a toxic under its class name in snake case: ``SlowClose`` is ``slow_close``."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    if name in TOXICS:
        raise ValueError(f"two toxics are called {name}")
    TOXICS[name] = kind
    return kind

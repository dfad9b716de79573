"""Says 200 to an event while it is busy with another one: it is lost, and does not come again.

The PSP takes it for heard. Exposed by events that come at the same time, the more so when the
database is slow.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import inbox
from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import Event
from payresil.refpay.policies import Policies


class _OneAtATime:
    """Receives one event at a time."""

    def __init__(self) -> None:
        self._busy = False

    async def receive(self, executor: Executor, event: Event) -> str:
        if self._busy:
            return "ignored"
        self._busy = True
        try:
            return await inbox.receive(executor, event)
        finally:
            self._busy = False


def apply(sound: Policies) -> Policies:
    return replace(sound, receive=_OneAtATime().receive)

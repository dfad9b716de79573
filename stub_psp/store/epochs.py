"""The epoch that a caller says it sent a request in: the number of its turn at a lease."""

from __future__ import annotations

from stub_psp.store.database import Database

#: So many digits are a number of turns and no card number.
_LONGEST = 9


class Epochs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, request: str, text: bytes | None, received_mono_ns: int) -> None:
        """Write down an epoch as a header has it; anything but a whole number is passed over.

        It goes with the next transaction, which is that of the request's own attempt.
        """
        if text is None or not text.isdigit() or len(text) > _LONGEST:
            return
        self._database.defer(
            "INSERT INTO epochs (request, epoch, received_mono_ns) VALUES (?,?,?)",
            (request, int(text), received_mono_ns),
        )

"""What the user asked for cannot be done as it was asked."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is refused before anything starts; the message says what to do."""

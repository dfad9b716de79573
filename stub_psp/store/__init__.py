"""What the stub must remember, in one SQLite file."""

from stub_psp.store.store import Store

__all__ = ["Store"]

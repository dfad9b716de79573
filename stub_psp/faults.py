"""Rules and the leases on them, kept in step with the store."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from stub_psp.lease import Leases, Owner
from stub_psp.rules import Rule, RuleBook, RuleError
from stub_psp.rules.book import Entry, Seen
from stub_psp.rules.spec import parse
from stub_psp.store import Store

_LEASE = "lease_deadline_mono_ns"  # of who names no owner; others' are followed by " OWNER"
MAX_RULES = 100
TOUCHED_SHOWN = 100


class Faults:
    """Every rule that holds, and until when. Survives a kill as the rest of the store does."""

    def __init__(
        self,
        store: Store,
        seed: int,
        endpoints: frozenset[str],
        reference_prefix: str = "",
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self.book = RuleBook(seed, self._load(), reference_prefix)
        self.leases = Leases(self._load_leases())

    def add(self, raw: object) -> Entry:
        """Make a rule of decoded JSON. Raises RuleError."""
        rule = parse(raw, self.book.free_id(), self._endpoints)
        if self.book.get(rule.id) is not None:
            raise RuleError(f"id: {rule.id!r} is taken; delete that rule first, or name another")
        if len(self.book.entries()) >= MAX_RULES:
            raise RuleError(f"there are {MAX_RULES} rules already; delete some")
        with self._store.transaction():
            self._store.rules.add(rule.id, json.dumps(msgspec.to_builtins(rule)))
        return self.book.add(rule)

    def show(self, entry: Entry) -> dict[str, object]:
        """A rule with its counts and the newest requests it touched (at most 100)."""
        return {
            **msgspec.to_builtins(entry.rule),
            "matched": entry.matched,
            "hits": entry.hits,
            "requests": self._store.rules.touched(entry.rule.id, TOUCHED_SHOWN),
        }

    def remove(self, ids: Iterable[str]) -> list[dict[str, object]]:
        """Forget rules; give each as it was at the end. Unknown ids are passed over."""
        entries = [entry for id_ in ids if (entry := self.book.get(id_)) is not None]
        final = [self.show(entry) for entry in entries]
        with self._store.transaction():
            for entry in entries:
                self._store.rules.remove(entry.rule.id)
        for entry in entries:
            self.book.remove(entry.rule.id)
        return final

    def record(self, seen: Iterable[Seen], request: str) -> None:
        """Write what :meth:`RuleBook.decide` counted; belongs in the request's transaction."""
        for one in seen:
            self._store.rules.matched(one.rule, one.subject, request, one.hit)

    def ids(self, owner: Owner) -> list[str]:
        """The rules that this owner made."""
        return [entry.rule.id for entry in self.book.entries() if entry.rule.owner == owner]

    def renew_lease(self, owner: Owner, now_ns: int, ttl_ms: int) -> None:
        """Have the rules of this owner removed, unless renewed within so many ms."""
        self._save_lease(owner, self.leases.renew(owner, now_ns, ttl_ms))

    def disarm_lease(self, owner: Owner) -> None:
        """Have the rules of this owner stay until they are removed."""
        self.leases.disarm(owner)
        self._save_lease(owner, None)

    def expire(self, now_ns: int) -> dict[Owner, int]:
        """Remove the rules of each owner whose lease has run out; give how many of each."""
        return {owner: self._heal(owner) for owner in self.leases.expired(now_ns)}

    def _heal(self, owner: Owner) -> int:
        removed = self.remove(self.ids(owner))
        self.disarm_lease(owner)
        return len(removed)

    def _save_lease(self, owner: Owner, deadline_ns: int | None) -> None:
        name = _LEASE if owner is None else f"{_LEASE} {owner}"
        with self._store.transaction():
            self._store.set_number(name, deadline_ns)

    def _load_leases(self) -> dict[Owner, int]:
        found = self._store.numbers(_LEASE)
        return {name[len(_LEASE) + 1 :] or None: number for name, number in found.items()}

    def _load(self) -> list[Entry]:
        return [
            Entry(
                msgspec.convert(json.loads(row.spec), Rule),
                row.matched,
                row.hits,
                self._store.rules.matches(row.id),
            )
            for row in self._store.rules.all()
        ]

"""The rules that hold now, and the decision for one request.

Decisions do not depend on the interleaving of requests. Whether a rule with a share touches a
request is decided by a hash of the seed, the rule's id, the request's merchant reference (or
its key, where it has none) and how many requests of that reference the rule matched before. So
the same plan touches the same attempts of the same payments, whatever else is going on. Where
references begin with what differs from run to run, that prefix is left out of the draws. A
``count`` is spent in order of arrival, and so are the draws of requests that have neither
reference nor key (lists): these do depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from msgspec import Struct

from stub_psp.rules.spec import Point, Rule


@dataclass(slots=True)
class Entry:
    """A rule with its counts: requests ``matched``, and of them touched (``hits``)."""

    rule: Rule
    matched: int = 0
    hits: int = 0
    by_subject: dict[str, int] = field(default_factory=dict)


class Seen(Struct, frozen=True):
    """One rule matched a request, and touched it or not; to be written with the request."""

    rule: str
    subject: str
    hit: bool


class RuleBook:
    """Rules in the order they were made; the first that touches a request at a point acts."""

    def __init__(
        self, seed: int, entries: Iterable[Entry] = (), reference_prefix: str = ""
    ) -> None:
        self._seed = seed
        self._prefix = reference_prefix
        self._entries = {entry.rule.id: entry for entry in entries}

    def add(self, rule: Rule) -> Entry:
        """Raises KeyError where the id is taken."""
        if rule.id in self._entries:
            raise KeyError(rule.id)
        entry = self._entries[rule.id] = Entry(rule)
        return entry

    def get(self, id_: str) -> Entry | None:
        return self._entries.get(id_)

    def remove(self, id_: str) -> Entry | None:
        return self._entries.pop(id_, None)

    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def free_id(self) -> str:
        """The first of rule-1, rule-2, … that no rule has: the same in every run of a plan."""
        n = 1
        while f"rule-{n}" in self._entries:
            n += 1
        return f"rule-{n}"

    def decide(
        self, point: Point, endpoint: str, reference: str | None, key: str | None
    ) -> tuple[Rule | None, list[Seen]]:
        """The rule that acts on this request now, and every rule that matched it."""
        acting: Rule | None = None
        seen: list[Seen] = []
        for entry in self._entries.values():
            rule = entry.rule
            if rule.point is not point or not rule.covers(endpoint, reference, key):
                continue
            subject = reference or key or ""
            before = entry.by_subject.get(subject, 0)
            entry.by_subject[subject] = before + 1
            entry.matched += 1
            hit = acting is None and self._touches(entry, subject, before)
            if hit:
                entry.hits += 1
                acting = rule
            seen.append(Seen(rule.id, subject, hit))
        return acting, seen

    def _touches(self, entry: Entry, subject: str, before: int) -> bool:
        rule = entry.rule
        if rule.match.nth is not None and before + 1 != rule.match.nth:
            return False
        if rule.count is not None and entry.hits >= rule.count:
            return False
        if rule.share >= 1:
            return True
        return draw(self._seed, rule.id, subject.removeprefix(self._prefix), before) < rule.share


def draw(seed: int, rule: str, subject: str, before: int) -> float:
    """A number in [0, 1) that these four, and nothing else, decide."""
    text = "\0".join((str(seed), rule, subject, str(before)))
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    return number / 2**64

"""Fault rules and how often they matched: they outlive a kill, as long as their lease does."""

from __future__ import annotations

from msgspec import Struct

from stub_psp.store.database import Database


class RuleRow(Struct, frozen=True):
    id: str
    spec: str
    matched: int
    hits: int


class RuleRows:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[RuleRow]:
        rows = self._database.rows("SELECT id, spec, matched, hits FROM rules ORDER BY seq")
        return [RuleRow(*row) for row in rows]

    def matches(self, rule: str) -> dict[str, int]:
        return dict(
            self._database.rows("SELECT subject, matched FROM rule_matches WHERE rule = ?", (rule,))
        )

    def add(self, id_: str, spec: str) -> None:
        self._database.execute("INSERT INTO rules (id, spec) VALUES (?,?)", (id_, spec))

    def remove(self, id_: str) -> None:
        self._database.execute("DELETE FROM rules WHERE id = ?", (id_,))
        self._database.execute("DELETE FROM rule_matches WHERE rule = ?", (id_,))
        self._database.execute("DELETE FROM rule_hits WHERE rule = ?", (id_,))

    def matched(self, id_: str, subject: str, request: str, hit: bool) -> None:
        """One request matched, and was touched or not; in the request's transaction."""
        self._database.execute(
            "INSERT INTO rule_matches VALUES (?,?,1) ON CONFLICT DO UPDATE SET"
            " matched = matched + 1",
            (id_, subject),
        )
        self._database.execute(
            "UPDATE rules SET matched = matched + 1, hits = hits + ? WHERE id = ?", (hit, id_)
        )
        if hit:
            self._database.execute(
                "INSERT INTO rule_hits (rule, request) VALUES (?,?)", (id_, request)
            )

    def touched(self, id_: str, limit: int) -> list[str]:
        """Ids of the newest requests it touched."""
        rows = self._database.rows(
            "SELECT request FROM rule_hits WHERE rule = ? ORDER BY seq DESC LIMIT ?", (id_, limit)
        )
        return [row[0] for row in rows]

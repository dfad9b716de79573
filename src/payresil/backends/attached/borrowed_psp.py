"""The control plane of a stub PSP that others use, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from payresil.backends.psp_control import PspControl
from payresil.core.protocols import EnvironmentBroke


class BorrowedPsp:
    """`core.protocols.Psp`; rules of others stay.

    Each rule is taken away when its fault heals; those of a harness that died go with its lease.
    """

    def __init__(self, control: PspControl, prefix: str) -> None:
        """Rules of this run begin with `prefix` there, and bear their own names here."""
        self._control = control
        self._prefix = prefix
        self._rules: dict[str, None] = {}

    @contextmanager
    def rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        """A fault rule while the context lasts; yields its id."""
        named = {**rule, "id": f"{self._prefix}{rule['id']}"} if "id" in rule else rule
        with self._control.rule(named) as name:
            self._rules[name] = None
            try:
                yield name.removeprefix(self._prefix)
            finally:
                del self._rules[name]

    def heal(self) -> None:
        """Nothing to take away: every rule goes with its fault.

        Raises:
            EnvironmentBroke: when a rule of this run is still in force.
        """
        if self._rules:
            raise EnvironmentBroke(f"the PSP still has fault rules: {', '.join(self._rules)}")

    def pending(self) -> Mapping[str, int]:
        """What is still on its way, whoever began it."""
        return self._control.pending()

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a table of the god view."""
        for row in self._control.truth(table):
            touched = row.get("rule")
            yield {**row, "rule": touched.removeprefix(self._prefix)} if touched else row


class NoPsp:
    """Stands where nothing is known of the PSP: it has nothing pending and tells nothing."""

    @contextmanager
    def rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        """Refused.

        Raises:
            EnvironmentBroke: always.
        """
        raise EnvironmentBroke("there is no control of this system's PSP")
        yield ""

    def heal(self) -> None:
        """Nothing was done to it."""

    def pending(self) -> Mapping[str, int]:
        """Nothing that anybody could know."""
        return {}

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        """No rows: see `Environment.capabilities` before these are taken for the truth."""
        return iter(())

"""What an endpoint is: its name, its parameters, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from stub_psp.dialects.stripe.forms import Node
from stub_psp.dialects.stripe.parameters import Schema
from stub_psp.exchange import Answer
from stub_psp.execution import Execution

Values = dict[str, Any]
Subject = tuple[Literal["intents", "charges", "refunds"], str]
Run = Callable[[Execution, str, Values], bytes | Answer]


def path_subject(table: Literal["intents", "charges", "refunds"]) -> Callable[..., Subject]:
    return lambda id_, values: (table, id_)


class Operation(Struct, frozen=True):
    """``route`` is as in ``POST payment_intents/:id/confirm``.

    ``run`` gets the execution, the id in the path ("" for none) and the values read. It gives
    the body of a 200, or another answer; it writes nothing before the last thing that can
    refuse. ``check`` looks at the values together.
    """

    name: str
    route: str
    schema: Schema
    run: Run
    subject: Callable[[str, Values], Subject | None] | None = None
    check: Callable[[Values], None] | None = None

    def read(self, given: dict[str, Node]) -> Values:
        values = self.schema.read(given)
        if self.check is not None:
            self.check(values)
        return values

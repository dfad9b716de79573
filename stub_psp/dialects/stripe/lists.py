"""Lists: newest first, at most 100, cursors by object id."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.expand import expanded
from stub_psp.dialects.stripe.objects import Json
from stub_psp.dialects.stripe.operations import Values
from stub_psp.dialects.stripe.parameters import Reader, integer, moment, text
from stub_psp.engine.values import PaymentObject
from stub_psp.execution import Execution
from stub_psp.identifiers import seq_of
from stub_psp.store.objects import Condition, Page

PAGING: dict[str, Reader] = {
    "limit": integer(1, 100),
    "starting_after": text(),
    "ending_before": text(),
    "created": moment,
}
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "="}


def page(values: Values, **equal: str) -> Page:
    """Read the paging parameters; ``equal`` are columns that refer to objects, with the
    parameter that filters by them. An id that is none matches nothing.
    """
    where: list[Condition] = [
        (f"created {_COMPARISONS[name]} ?", (value,))
        for name, value in values.get("created", {}).items()
    ]
    where += [
        (f"{column} = ?", (seq_of(f"{column}s", values[name]),))
        for column, name in equal.items()
        if name in values
    ]
    return Page(
        limit=values.get("limit", 10),
        after=values.get("starting_after"),
        before=values.get("ending_before"),
        where=tuple(where),
    )


def listed(found: tuple[Sequence[object], bool] | None, url: str, values: Values) -> bytes:
    """A list object; a cursor that names nothing is an error."""
    if found is None:
        name = "starting_after" if "starting_after" in values else "ending_before"
        raise ApiError(
            400,
            f"No such object: '{values[name]}'",
            code="resource_missing",
            param=name,
        )
    data, more = found
    return msgspec.json.encode(
        {"object": "list", "data": data, "has_more": more, "url": f"/v1/{url}"}
    )


def expand_each(
    execution: Execution,
    found: tuple[Sequence[PaymentObject], bool] | None,
    values: Values,
) -> tuple[list[Json], bool] | None:
    """A page of objects as JSON; None stays None, for a cursor that names nothing."""
    if found is None:
        return None
    paths = values.get("expand", [])
    return [expanded(execution, subject, paths) for subject in found[0]], found[1]


def show(execution: Execution, subject: PaymentObject, values: Values) -> bytes:
    """The object's JSON, with what ``expand`` asked for in place of ids."""
    if not values.get("expand"):
        return execution.rendered(subject)
    return msgspec.json.encode(expanded(execution, subject, values["expand"]))

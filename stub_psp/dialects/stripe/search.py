"""Search of payment intents: ``metadata['order']:'7' AND status:'succeeded'``.

At Stripe search lags behind (seconds, under a minute as a rule) and should not be used to
read what was just written. Here it is strongly consistent.
"""

from __future__ import annotations

import re

import msgspec

from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.expand import expandable, expanded
from stub_psp.dialects.stripe.operations import Run, Values
from stub_psp.dialects.stripe.parameters import Schema, integer, text
from stub_psp.execution import Execution
from stub_psp.store.objects import Condition, Page

SCHEMA = Schema(
    {
        "query": text(2000),
        "limit": integer(1, 100),
        "page": text(),
        "expand": expandable("payment_intent", listed=True),
    },
    required=("query",),
)
_QUOTED = r"""(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")"""
_CLAUSE = re.compile(
    rf"""(?:metadata\[{_QUOTED}\]\s*:\s*{_QUOTED}|status\s*:\s*{_QUOTED}"""
    r"""|(created|amount)\s*(:|>=|<=|>|<)\s*(\d{1,15}))(?:\s+AND\s+(?=\S)|\s*$)""",
    re.ASCII,
)


def search(reference_field: str) -> Run:
    """The endpoint; ``reference_field`` is the metadata with an index behind it."""

    def run(execution: Execution, id_: str, values: Values) -> bytes:
        where = parse(values["query"], reference_field)
        page = Page(limit=values.get("limit", 10), after=values.get("page"), where=where)
        found = execution.store.objects.intents.page(execution.account, page)
        if found is None:
            raise ApiError(400, "Invalid page: use next_page of a search.", param="page")
        data, more = found
        paths = values.get("expand", [])
        return msgspec.json.encode(
            {
                "object": "search_result",
                "data": [expanded(execution, intent, paths) for intent in data],
                "has_more": more,
                "next_page": data[-1].id if more else None,
                "url": "/v1/payment_intents/search",
            }
        )

    return run


def parse(query: str, reference_field: str) -> tuple[Condition, ...]:
    """What must hold for a row, all of it."""
    conditions: list[Condition] = []
    query = query.strip()
    at = 0
    while at < len(query):
        clause = _CLAUSE.match(query, at)
        if clause is None:
            raise ApiError(
                400,
                "We were unable to parse your search query. Understood here:"
                " metadata['key']:'value', status:'…', created or amount with : > >= < <=,"
                " joined by AND.",
                param="query",
            )
        conditions += _conditions(clause, reference_field)
        at = clause.end()
    return tuple(conditions)


def _conditions(clause: re.Match[str], reference_field: str) -> list[Condition]:
    key, value, status = (_unquoted(clause, n) for n in (1, 3, 5))
    if key is not None:
        held = (
            "EXISTS (SELECT 1 FROM json_each(CAST(intents.value AS TEXT), '$.metadata') m"
            " WHERE m.key = ? AND m.value = ?)"
        )
        by_index = [("reference = ?", (value,))] if key == reference_field else []
        return [*by_index, (held, (key, value))]
    if status is not None:
        return [("status = ?", (status,))]
    column, comparison, number = clause.group(7, 8, 9)
    if column == "amount":
        column = "json_extract(CAST(value AS TEXT), '$.amount')"
    return [(f"{column} {'=' if comparison == ':' else comparison} ?", (int(number),))]


def _unquoted(clause: re.Match[str], group: int) -> str | None:
    """The text of a pair of groups: in single quotes, or in double ones."""
    quoted = clause.group(group) if clause.group(group) is not None else clause.group(group + 1)
    return None if quoted is None else re.sub(r"\\(.)", r"\1", quoted)

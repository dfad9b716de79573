"""Charges: read only; payment intents make them."""

from __future__ import annotations

from stub_psp.dialects.stripe.expand import expandable
from stub_psp.dialects.stripe.lists import PAGING, expand_each, listed, page, show
from stub_psp.dialects.stripe.operations import Operation, Values, path_subject
from stub_psp.dialects.stripe.parameters import Schema, text
from stub_psp.execution import Execution


def _retrieve(execution: Execution, id_: str, values: Values) -> bytes:
    return show(execution, execution.charge(id_), values)


def _list(execution: Execution, id_: str, values: Values) -> bytes:
    paging = page(values, intent="payment_intent")
    found = execution.store.objects.charges.page(execution.account, paging)
    return listed(expand_each(execution, found, values), "charges", values)


OPERATIONS = [
    Operation(
        "charges.retrieve",
        "GET charges/:id",
        Schema({"expand": expandable("charge")}),
        _retrieve,
        path_subject("charges"),
    ),
    Operation(
        "charges.list",
        "GET charges",
        Schema(PAGING | {"payment_intent": text(), "expand": expandable("charge", listed=True)}),
        _list,
    ),
]

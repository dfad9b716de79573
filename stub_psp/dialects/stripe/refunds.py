"""Refunds, of a charge or of a payment intent's charge. Cards give money back at once."""

from __future__ import annotations

from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.expand import expandable
from stub_psp.dialects.stripe.lists import PAGING, expand_each, listed, page, show
from stub_psp.dialects.stripe.operations import Operation, Subject, Values, path_subject
from stub_psp.dialects.stripe.parameters import (
    Schema,
    choice,
    integer,
    metadata,
    text,
)
from stub_psp.engine import refunds
from stub_psp.engine.values import Charge, RefusedError
from stub_psp.execution import Execution

_CREATE = Schema(
    {
        "payment_intent": text(),
        "charge": text(),
        "amount": integer(1),
        "reason": choice("duplicate", "fraudulent", "requested_by_customer"),
        "metadata": metadata,
        "expand": expandable("refund"),
    }
)


def _check(values: Values) -> None:
    if not values.get("payment_intent") and not values.get("charge"):
        raise ApiError(
            400,
            "One of the following params should be provided for this request: payment_intent"
            " or charge.",
            code="parameter_missing",
            param="payment_intent",
        )


def _subject(id_: str, values: Values) -> Subject:
    if values.get("charge"):
        return "charges", values["charge"]
    return "intents", values["payment_intent"]


def _create(execution: Execution, id_: str, values: Values) -> bytes:
    charge = _charge(execution, values)
    change = refunds.refund(
        execution.intent(charge.intent),
        charge,
        values.get("amount"),
        refund_id=execution.store.new_id("refunds"),
        now=execution.now_s,
        checked=not execution.unchecked,
        reason=values.get("reason"),
        metadata=values.get("metadata"),
    )
    assert change.refund is not None  # refund() makes one or refuses
    execution.record(change)
    return show(execution, change.refund, values)


def _charge(execution: Execution, values: Values) -> Charge:
    if values.get("charge"):
        charge = execution.charge(values["charge"])
        if values.get("payment_intent", charge.intent) != charge.intent:
            raise ApiError(
                400,
                "The charge does not belong to the payment_intent.",
                param="payment_intent",
            )
        return charge
    intent = execution.intent(values["payment_intent"])
    if intent.latest_charge is None:
        raise RefusedError("unexpected_state", intent=intent, action="be refunded")
    return execution.charge(intent.latest_charge)


def _retrieve(execution: Execution, id_: str, values: Values) -> bytes:
    return show(execution, execution.refund(id_), values)


def _list(execution: Execution, id_: str, values: Values) -> bytes:
    paging = page(values, intent="payment_intent", charge="charge")
    found = execution.store.objects.refunds.page(execution.account, paging)
    return listed(expand_each(execution, found, values), "refunds", values)


OPERATIONS = [
    Operation("refunds.create", "POST refunds", _CREATE, _create, _subject, _check),
    Operation(
        "refunds.retrieve",
        "GET refunds/:id",
        Schema({"expand": expandable("refund")}),
        _retrieve,
        path_subject("refunds"),
    ),
    Operation(
        "refunds.list",
        "GET refunds",
        Schema(
            PAGING
            | {
                "payment_intent": text(),
                "charge": text(),
                "expand": expandable("refund", listed=True),
            }
        ),
        _list,
    ),
]

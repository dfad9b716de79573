"""Events: what webhooks tell, to be read again; the ordered channel to catch up by."""

from __future__ import annotations

from stub_psp.dialects.stripe.errors import ApiError, missing
from stub_psp.dialects.stripe.lists import PAGING, listed, page
from stub_psp.dialects.stripe.objects import event_json, event_object
from stub_psp.dialects.stripe.operations import Operation, Values
from stub_psp.dialects.stripe.parameters import Schema, flag, text, texts
from stub_psp.engine.values import Kind
from stub_psp.execution import Execution
from stub_psp.store.objects import Condition, Page

#: What the API calls what happened.
NAMES = {
    Kind.INTENT_CREATED: "payment_intent.created",
    Kind.INTENT_REQUIRES_ACTION: "payment_intent.requires_action",
    Kind.INTENT_CAPTURABLE: "payment_intent.amount_capturable_updated",
    Kind.INTENT_SUCCEEDED: "payment_intent.succeeded",
    Kind.INTENT_FAILED: "payment_intent.payment_failed",
    Kind.INTENT_CANCELED: "payment_intent.canceled",
    Kind.CHARGE_SUCCEEDED: "charge.succeeded",
    Kind.CHARGE_FAILED: "charge.failed",
    Kind.CHARGE_CAPTURED: "charge.captured",
    Kind.CHARGE_EXPIRED: "charge.expired",
    Kind.CHARGE_REFUNDED: "charge.refunded",
    Kind.REFUND_CREATED: "refund.created",
}
_LIST = Schema(PAGING | {"type": text(), "types": texts, "delivery_success": flag})
_PENDING = "EXISTS (SELECT 1 FROM deliveries d WHERE d.event = events.seq)"


def _retrieve(execution: Execution, id_: str, values: Values) -> bytes:
    found = execution.store.events.get(execution.account, id_)
    if found is None:
        raise missing("event", id_)
    return event_json(*found)


def _list(execution: Execution, id_: str, values: Values) -> bytes:
    paging = page(values)
    where = [*paging.where, *_filters(values)]
    found = execution.store.events.page(
        execution.account,
        Page(paging.limit, paging.after, paging.before, tuple(where)),
    )
    shown = None
    if found is not None:
        shown = [event_object(event, pending) for event, pending in found[0]], found[1]
    return listed(shown, "events", values)


def _filters(values: Values) -> list[Condition]:
    where: list[Condition] = []
    if "type" in values:
        if "types" in values:
            raise ApiError(400, "You may only specify one of type, types.", param="types")
        pattern = values["type"].replace("*", "%") if "*" in values["type"] else None
        where.append(("type LIKE ?", (pattern,)) if pattern else ("type = ?", (values["type"],)))
    if values.get("types"):
        marks = ",".join("?" * len(values["types"]))
        where.append((f"type IN ({marks})", tuple(values["types"])))
    if "delivery_success" in values:
        where.append((f"{'NOT ' if values['delivery_success'] else ''}{_PENDING}", ()))
    return where


OPERATIONS = [
    Operation("events.retrieve", "GET events/:id", Schema({}), _retrieve),
    Operation("events.list", "GET events", _LIST, _list),
]

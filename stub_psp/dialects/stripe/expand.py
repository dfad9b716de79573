"""``expand``: whole objects in place of ids. What may be expanded is known before execution."""

from __future__ import annotations

from collections.abc import Sequence

from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.forms import Node
from stub_psp.dialects.stripe.objects import (
    Json,
    charge_object,
    intent_object,
    method_object,
    refund_object,
)
from stub_psp.dialects.stripe.parameters import Reader, texts
from stub_psp.engine.values import Charge, PaymentIntent, PaymentObject
from stub_psp.execution import Execution

#: Object -> members that can be expanded -> what object each of them is.
_MEMBERS = {
    "payment_intent": {"latest_charge": "charge", "payment_method": "payment_method"},
    "charge": {"payment_intent": "payment_intent", "payment_method": "payment_method"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
}


def expandable(kind: str, *, listed: bool = False) -> Reader:
    """Reads the paths to expand in an object; in a list they begin with ``data.``, which goes."""

    def read(node: Node, name: str) -> list[str]:
        paths = []
        for path in texts(node, name):
            inner = path.removeprefix("data.") if listed else path
            if (listed and inner == path) or not _known(kind, inner):
                raise ApiError(400, f"This property cannot be expanded ({path}).", param=name)
            paths.append(inner)
        return paths

    return read


def _known(kind: str, path: str) -> bool:
    if path.count(".") > 3:  # as deep as Stripe goes
        return False
    for member in path.split("."):
        if member not in _MEMBERS.get(kind, {}):
            return False
        kind = _MEMBERS[kind][member]
    return True


def expanded(execution: Execution, subject: PaymentObject, paths: Sequence[str]) -> Json:
    """The object's JSON with the paths followed; a member that is null stays null."""
    shown = _object(subject)
    for path in paths:
        first, _, rest = path.partition(".")
        if first == "payment_method":
            if isinstance(subject, PaymentIntent | Charge) and subject.method is not None:
                shown[first] = method_object(subject.method, subject.created)
        elif isinstance(id_ := shown[first], str):
            shown[first] = expanded(execution, _load(execution, first, id_), [rest] if rest else [])
    return shown


def _object(subject: PaymentObject) -> Json:
    if isinstance(subject, PaymentIntent):
        return intent_object(subject)
    if isinstance(subject, Charge):
        return charge_object(subject)
    return refund_object(subject)


def _load(execution: Execution, name: str, id_: str) -> PaymentObject:
    return execution.intent(id_) if name == "payment_intent" else execution.charge(id_)

"""Writes the state of whatever event came last: a late one undoes what happened after it.

Each event carries the status its object had, which is written over whatever the payment has by
now. Exposed by events that are delayed, reordered or delivered again.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import inbox
from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import Event
from payresil.refpay.policies import Policies

#: What each type of event is taken to mean, whenever it comes.
_MEANING = {
    "payment_intent.created": "processing",
    "payment_intent.payment_failed": "declined",
    "payment_intent.canceled": "canceled",
    "payment_intent.amount_capturable_updated": "authorized",
    "payment_intent.succeeded": "succeeded",
}


async def _receive(executor: Executor, event: Event) -> str:
    state = await inbox.receive(executor, event)
    meant = _MEANING.get(event.type)
    if meant is None or event.payment is None:
        return state
    await executor.row(
        "with before as (select id, state, version from payments where id = $1 and state <> $2),"
        " after as (update payments p set state = $2, version = p.version + 1,"
        "  answered = true, lease_until = null, updated_at = now()"
        "  from before b where p.id = b.id returning p.id, b.state as was, p.version)"
        " insert into transitions (payment, seq, from_state, to_state, cause)"
        " select id, version, was, $2, 'webhook' from after",
        event.payment, meant,
    )  # fmt: skip
    return state


def apply(sound: Policies) -> Policies:
    return replace(sound, receive=_receive)

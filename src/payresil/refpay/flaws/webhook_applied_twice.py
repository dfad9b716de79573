"""Works through all deliveries of an event when it comes again: captures are booked for each.

Which events were heard is known, and not looked at. Exposed by events that are delivered again,
since the PSP did not hear that they had arrived.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.books import inbox
from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import Event
from payresil.refpay.policies import Policies


async def _receive(executor: Executor, event: Event) -> str:
    state = await inbox.receive(executor, event)
    await executor.row(
        "with again as (update inbox set effects = effects + deliveries, state = 'applied'"
        "  where event = $1 and deliveries > 1 and type = 'payment_intent.succeeded'"
        "  returning payment, event, deliveries)"
        " select count(post_journal('capture', event || '#' || deliveries || '.' || n, p.id,"
        "  p.currency, array['merchant_payable', 'psp_receivable'],"
        "  array[-p.captured_minor, p.captured_minor])::text)"
        " from again join payments p on p.id = again.payment, generate_series(1, deliveries) n",
        event.id,
    )
    return state


def apply(sound: Policies) -> Policies:
    return replace(sound, receive=_receive)

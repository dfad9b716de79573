"""``POST /webhooks/psp``: events of the PSP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from payresil.refpay.api.answers import answer, refuse
from payresil.refpay.api.requests import check_standing, service_of
from payresil.refpay.work.receive import EventError, SignatureError, read_event


async def receive_event(request: Request) -> Response:
    """200 once the event and its effect are committed; anything else brings it again."""
    check_standing(request)
    service = service_of(request)
    body = await request.body()
    signature = request.headers.get("stripe-signature")
    try:
        event = read_event(body, signature, service.settings.webhook_secret)
    except SignatureError:
        service.metrics.webhooks.labels("not_signed").inc()
        return refuse(400, "bad_signature", "the signature does not fit the body, or is old")
    except EventError:
        service.metrics.webhooks.labels("malformed").inc()
        return refuse(400, "malformed", "the body is not an event")
    state = await service.policies.receive(service.database, event)
    service.metrics.webhooks.labels(state).inc()
    if state == "received":
        service.log.warning("webhook.unmatched", psp_event=event.id, type=event.type,
                            object=event.object, reference=event.reference)  # fmt: skip
    return answer(200, {"state": state})

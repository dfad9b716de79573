"""What may follow a payment: refunds, captures, cancellations."""

from __future__ import annotations

from payresil.engine.doctor.caller import Heard
from payresil.engine.doctor.payments import AMOUNT_MINOR, Visit
from payresil.engine.doctor.seen import Findings, Seen

_PART_MINOR = AMOUNT_MINOR // 5


def following(visit: Visit) -> Findings:
    """Try the operations that the system file describes beyond those that every run needs."""
    yield from _refund(visit)
    for operation, becomes in (("capture", "succeeded"), ("cancel", "canceled")):
        yield from _after_authorizing(visit, operation, becomes)


def _refund(visit: Visit) -> Findings:
    if not visit.caller.has("refund"):
        yield Seen("refund", "skipped", "not in the system file")
        return
    heard = _asked(visit, "refund", "refund.1", visit.intent, str(visit.payment), _PART_MINOR)
    yield from _done(visit, "refund", heard)


def _after_authorizing(visit: Visit, operation: str, becomes: str) -> Findings:
    if not visit.caller.has(operation):
        yield Seen(operation, "skipped", "not in the system file")
        return
    if "{capture}" not in repr(visit.system.api.operations["create"].body):
        words = "the body of create has no {capture}, so nothing can be authorized only"
        where = visit.at("api", "operations", "create", "body")
        yield Seen(operation, "doubtful", words, where)
        return
    intent = visit.next_intent()
    created = visit.caller.ask("create", intent, key=f"{intent}-pay", capture="manual")
    if created.answer.payment is None:
        words = f"{created.came}: an authorization was expected"
        yield Seen(operation, "wrong", words, visit.at("api", "operations", "create", "body"))
        return
    visit.created.append(created.answer.payment)
    held = visit.caller.final(created.answer.payment, intent)
    if held.answer.state != "authorized":
        words = f"{held.came}: the state authorized was expected of a manual capture"
        yield Seen(operation, "wrong", words, visit.at("api", "final"))
        return
    heard = _asked(visit, operation, operation, intent, created.answer.payment, AMOUNT_MINOR)
    answered = list(_done(visit, operation, heard))
    if answered[0].health == "good":
        then = visit.caller.final(created.answer.payment, intent, {becomes})
        if then.answer.state != becomes:
            words = f"{then.came} after it: the state {becomes} was expected"
            yield Seen(operation, "wrong", words, visit.at("api", "final"))
            return
    yield from answered


def _asked(
    visit: Visit, operation: str, key: str, intent: str, payment: str, amount_minor: int
) -> Heard:
    return visit.caller.ask(
        operation, intent, key=f"{intent}-{key}", payment=payment, amount_minor=amount_minor
    )


def _done(visit: Visit, operation: str, heard: Heard) -> Findings:
    where = visit.at("api", "operations", operation)
    answer = heard.answer
    if answer.outcome == "ok":
        words = f"{heard.request} answered {answer.status} {answer.state or ''}".rstrip()
        yield Seen(operation, "good", words)
    elif answer.pending:
        yield Seen(operation, "good", f"{heard.request} is under way")
    else:
        yield Seen(operation, "wrong", f"{heard.came}: no final answer", where)

"""Behind the service: did the payment arrive at the PSP, and the PSP's webhooks at the service?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from payresil.core.protocols import Environment
from payresil.engine.doctor.payments import AMOUNT_MINOR, CURRENCY, Visit
from payresil.engine.doctor.seen import Findings, Seen

_DELIVERY_S = 8.0
_POLL_S = 0.1


def behind(visit: Visit, environment: Environment) -> Findings:
    """Compare with what the PSP knows."""
    if "psp_rules" not in environment.capabilities:
        yield Seen("reference", "skipped", "nothing is known of what the PSP did")
        yield Seen("webhooks", "skipped", "nothing is known of what the PSP sent")
        return
    yield from _charge(visit, list(environment.psp.truth("psp_charges")))
    yield from _webhooks(visit, environment)


def _charge(visit: Visit, charges: list[Mapping[str, Any]]) -> Findings:
    field = visit.system.reference_field
    where = visit.at("reference_field")
    ours = [row for row in charges if row["reference"] == visit.intent]
    if not ours:
        nameless = sum(row["reference"] is None for row in charges)
        words = f"the PSP has no charge whose metadata names {visit.intent} under {field!r}"
        words += f"; {nameless} charges name nothing there" if nameless else ""
        yield Seen("reference", "wrong", words, where)
        return
    yield Seen("reference", "good", f"it reaches the PSP in the metadata field {field!r}")
    captured = [row for row in ours if row["captured_minor"]]
    if len(captured) > 1:
        words = f"one payment, sent twice under one key, was charged {len(captured)} times"
        yield Seen("charged once", "wrong", words, visit.at("api", "key_header"))
    asked, charge = (AMOUNT_MINOR, CURRENCY), captured[0] if captured else ours[0]
    charged = charge["amount_minor"], str(charge["currency"]).lower()
    if charged != asked:
        words = (
            f"{AMOUNT_MINOR} {CURRENCY} in minor units were asked for, and the PSP was asked for "
            f"{charged[0]} {charged[1]}: amount_minor or amount_decimal?"
        )
        yield Seen("amount", "wrong", words, visit.at("api", "operations", "create", "body"))
    else:
        yield Seen("amount", "good", "the PSP was asked for the same amount and currency")


def _webhooks(visit: Visit, environment: Environment) -> Findings:
    if visit.system.webhook_path is None:
        yield Seen("webhooks", "skipped", "no webhook_path in the system file")
        return
    end_s = time.monotonic() + _DELIVERY_S
    while True:
        tried = [
            row
            for row in environment.psp.truth("psp_events")
            if row["reference"] == visit.intent and row["attempt"]
        ]
        if any(row["delivered"] for row in tried):
            yield Seen("webhooks", "good", f"{visit.system.webhook_path} takes them")
            return
        if time.monotonic() > end_s:
            break
        time.sleep(_POLL_S)
    where = visit.at("webhook_path")
    if not tried:
        words = f"no webhook of {', '.join(visit.system.webhook_events)} was sent for the payment"
        yield Seen("webhooks", "wrong", words, visit.at("webhook_events"))
    else:
        status = tried[-1]["status"]
        words = f"{visit.system.webhook_path} answered {status or 'nothing'} {len(tried)} times"
        yield Seen("webhooks", "wrong", words, where)

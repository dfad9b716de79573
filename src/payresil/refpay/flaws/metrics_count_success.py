"""Counts only what it made: operators see no refusal, no failure, and no question that was asked.

Exposed by any other request, held against the metrics of the instance that answered it.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.policies import Policies


def _counts(status: int) -> bool:
    return status == 201


def apply(sound: Policies) -> Policies:
    return replace(sound, counts=_counts)

"""Takes silence of the PSP for a failure: the payment is closed, and the charge is an orphan.

The caller is told for good that nothing was paid. Exposed by answers that are lost after the PSP
committed, or that come later than the time-out.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.policies import Policies
from payresil.refpay.psp.answer import PspAnswer


def _unclear(answer: PspAnswer) -> str | None:
    return answer.state or "failed"


def apply(sound: Policies) -> Policies:
    return replace(sound, unclear=_unclear)

"""Has its region in the PSP key: what one region began, another one asks for as something new.

Exposed by the loss of a region whose books another one does not have in full: a customer who
sends a payment again is charged again.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.policies import Policies


def _key(operation: str, attempt: int, region: str) -> str:
    return f"{region}:{operation}"


def apply(sound: Policies) -> Policies:
    return replace(sound, psp_key=_key)

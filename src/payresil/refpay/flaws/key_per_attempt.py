"""A new PSP key for every attempt: a retry after a lost answer charges again.

The key is minted inside the function that is retried, so the PSP cannot tell a retry from a
second payment. Exposed by answers that are lost after the PSP committed.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from payresil.refpay.policies import Policies


def _mint(operation: str, attempt: int, region: str) -> str:
    return str(uuid.uuid4())


def apply(sound: Policies) -> Policies:
    return replace(sound, psp_key=_mint)

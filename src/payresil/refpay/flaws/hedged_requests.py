"""Sends the PSP every request twice, to be sure of an answer: its load doubles on a good day.

The copy has the same key, so no money moves twice. Exposed by counting what the PSP is asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from payresil.refpay.policies import Policies, Send
from payresil.refpay.psp.answer import Json


async def _twice(send: Send) -> Json:
    first, second = await asyncio.gather(send(), send(), return_exceptions=True)
    answer = second if isinstance(first, BaseException) else first
    if isinstance(answer, BaseException):
        raise answer
    return answer


def apply(sound: Policies) -> Policies:
    return replace(sound, ask_psp=_twice)

"""Acknowledges before the commit is durable: a crash of the database loses what was answered.

``synchronous_commit`` is off, so an answer does not wait for the write-ahead log, nor for a
standby. Exposed by ``kill -9`` of the database, or by the loss of its region.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.policies import Policies


def apply(sound: Policies) -> Policies:
    return replace(sound, session={**sound.session, "synchronous_commit": "off"})

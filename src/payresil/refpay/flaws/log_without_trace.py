"""Logs what happened and not to which payment: in an incident nobody can be followed.

Exposed by looking for the customers' references in the logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from payresil.refpay.policies import Policies


def _nameless(fields: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in fields.items() if name != "reference"}


def apply(sound: Policies) -> Policies:
    return replace(sound, logs=_nameless)

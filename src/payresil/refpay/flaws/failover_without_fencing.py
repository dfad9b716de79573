"""Takes payments whether or not its region holds the lease: two regions do, after a failover.

It goes on in the epoch that it last knew, on a database that is not the primary any more. Exposed
by a region that is cut off while another one takes over.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.policies import Policies


def _acts(held: bool) -> bool:
    return True


def apply(sound: Policies) -> Policies:
    return replace(sound, acts=_acts)

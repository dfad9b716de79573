"""The secrets and card numbers of one run: made anew, so that a leak is recognised."""

from __future__ import annotations

import secrets

from payresil.core.plan import canary_cards
from payresil.core.protocols import Secrets


def sow(cards: int = 16) -> Secrets:
    """Fresh secrets. They are kept in memory and handed to the nodes, never written down."""
    return Secrets(
        api_token=secrets.token_urlsafe(24),
        admin_token=secrets.token_urlsafe(24),
        psp_api_key="sk_test_" + secrets.token_hex(16),
        webhook_secret="whsec_" + secrets.token_hex(16),
        control_token=secrets.token_urlsafe(24),
        card_numbers=tuple(canary_cards(secrets.token_bytes(16), cards)),
        card_cvc=f"{secrets.randbelow(900) + 100}",
    )

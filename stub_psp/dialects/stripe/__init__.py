"""Stripe's API, version 1, as its official SDK speaks it."""

from stub_psp.dialects.stripe.dialect import StripeDialect, account_of

__all__ = ["StripeDialect", "account_of"]

"""A stub payment service provider: Stripe-compatible, durable, and able to fail on purpose."""

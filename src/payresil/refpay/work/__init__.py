"""What the service does: pay, operate on a payment, resolve unknowns, relay, receive events."""

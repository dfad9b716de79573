"""The books of the service: payments, operations, ledger, inbox, outbox, in PostgreSQL."""

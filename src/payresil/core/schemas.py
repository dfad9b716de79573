"""The columns of every table that a run may leave.

One time base: a column named ``*_ns`` is the monotonic clock minus the run's zero,
in nanoseconds. Money is integer minor units with an ISO 4217 currency in lower case.
A column is nullable unless it is listed in ``REQUIRED``.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 2

_TEXT = pa.string()
_INT = pa.int64()
_BOOL = pa.bool_()


def _table(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns])


#: Every attempt of every intent, as the customer (load), the prober or the audit saw it.
ATTEMPTS = _table(
    ("intent", _TEXT),  # <run>-<n>, the merchant reference
    ("n", _INT),  # the intent's number
    ("operation", _TEXT),  # pay, refund.1, capture, cancel: the unit of idempotency
    ("attempt", pa.int32()),  # 1, 2, … within the operation
    ("source", _TEXT),  # load | probe | audit
    ("journey", _TEXT),
    ("kind", _TEXT),  # the request: create | read | refund | capture | cancel
    ("key", _TEXT),  # idempotency key sent, null for reads
    ("amount_minor", _INT),
    ("currency", _TEXT),
    ("due_ns", _INT),  # when the schedule wanted it; for a retry, when the client wanted it
    ("sent_ns", _INT),
    ("done_ns", _INT),
    ("outcome", _TEXT),  # ok | fail | unknown
    ("status", pa.int32()),  # HTTP status, null when there was no answer
    ("error", _TEXT),  # why there was no usable answer: timeout, reset, refused, tls, …
    ("answer", _TEXT),  # state in the answer: succeeded, declined, processing, …
    ("payment", _TEXT),  # the service's id of the payment
    ("replayed", _BOOL),  # the service said that it answered from its key store
    ("region", _TEXT),  # region that answered, where the service says so
    ("instance", _TEXT),  # node that answered, where the service says so
)

#: Blocks of intent numbers promised to a generator before it used them.
RESERVED = _table(("first", _INT), ("count", _INT), ("source", _TEXT))

#: What the harness did and saw: phases, faults, nodes, remedies, steps.
EVENTS = _table(
    ("at_ns", _INT),
    ("wall_us", _INT),  # Unix time in microseconds
    ("kind", _TEXT),  # phase | fault | node | step | remedy | remedy_step | harness
    ("name", _TEXT),  # steady, the fault's id, the node's name, settle, …
    ("what", _TEXT),  # begin | end | inject | injected | heal | healed | started | exited | failed
    ("detail", _TEXT),  # JSON object
)

#: How long a scrape took, beside ``up``: the two are the harness's own metrics of every node.
SCRAPE_SECONDS = "scrape_duration_seconds"

#: Metrics of every node, scraped once a second; `at_ns` is when it was asked for them.
SAMPLES = _table(
    ("at_ns", _INT),
    ("node", _TEXT),
    ("metric", _TEXT),
    ("labels", _TEXT),  # k="v",k2="v2", sorted
    ("value", pa.float64()),
)

#: What Prometheus answered to the queries of checks, at every moment that it was asked for.
SERIES = _table(
    ("query", _TEXT),  # PromQL, as the check has it
    ("labels", _TEXT),  # k="v",k2="v2", sorted
    ("at_ns", _INT),
    ("value", pa.float64()),
)

#: Alerts that checks ask for: one row for each time that a rule was found to hold.
ALERTS = _table(
    ("alert", _TEXT),
    ("labels", _TEXT),  # the same, without the alert's name and state
    ("state", _TEXT),  # pending | firing
    ("at_ns", _INT),  # when the rule was evaluated
    ("until_ns", _INT),  # the last moment at which this was the newest that was known
)

#: Every request that reached the PSP.
PSP_ATTEMPTS = _table(
    ("request", _TEXT),  # req_…
    ("account", _TEXT),
    ("endpoint", _TEXT),  # payment_intents.create, …
    ("reference", _TEXT),  # merchant reference: the intent
    ("key", _TEXT),
    ("received_ns", _INT),
    ("answered_ns", _INT),  # null when no answer was sent
    ("status", pa.int32()),  # what was answered, or would have been
    ("replayed", _BOOL),
    ("rule", _TEXT),  # the fault rule that touched it, null for none
    ("point", _TEXT),  # before_commit | after_commit_lost | after_commit_wrong
    ("payment_intent", _TEXT),
    ("charge", _TEXT),
)

#: Every charge the PSP made: the ground truth of money in.
PSP_CHARGES = _table(
    ("charge", _TEXT),
    ("payment_intent", _TEXT),
    ("reference", _TEXT),
    ("key", _TEXT),
    ("request", _TEXT),
    ("amount_minor", _INT),
    ("captured_minor", _INT),
    ("refunded_minor", _INT),
    ("currency", _TEXT),
    ("status", _TEXT),  # succeeded | failed
    ("captured", _BOOL),
    ("created_ns", _INT),
    ("clock_s", _INT),  # the PSP's own clock, Unix seconds
)

PSP_REFUNDS = _table(
    ("refund", _TEXT),
    ("charge", _TEXT),
    ("payment_intent", _TEXT),
    ("reference", _TEXT),
    ("key", _TEXT),
    ("request", _TEXT),
    ("amount_minor", _INT),
    ("currency", _TEXT),
    ("status", _TEXT),
    ("created_ns", _INT),
    ("clock_s", _INT),
)

#: Every delivery attempt of every event; attempt 0 is the creation of the event.
PSP_EVENTS = _table(
    ("event", _TEXT),
    ("type", _TEXT),
    ("object", _TEXT),
    ("reference", _TEXT),
    ("attempt", pa.int32()),
    ("at_ns", _INT),
    ("answered_ns", _INT),  # when the endpoint had answered, or the PSP gave up waiting for it
    ("status", pa.int32()),  # the endpoint's answer, null for none
    ("delivered", _BOOL),
)

#: The service's books, read through the SQL or the export of its system file.
BOOKS_PAYMENTS = _table(
    ("payment", _TEXT),
    ("intent", _TEXT),
    ("state", _TEXT),  # processing | succeeded | declined | authorized | canceled | failed
    ("amount_minor", _INT),
    ("captured_minor", _INT),
    ("refunded_minor", _INT),
    ("currency", _TEXT),
    ("psp_payment", _TEXT),  # the PSP's payment intent
    ("created_us", _INT),  # the service's wall clock
    ("updated_us", _INT),
)
BOOKS_REFUNDS = _table(
    ("refund", _TEXT),
    ("payment", _TEXT),
    ("intent", _TEXT),
    ("state", _TEXT),  # processing | succeeded | failed
    ("amount_minor", _INT),
    ("currency", _TEXT),
    ("psp_refund", _TEXT),
    ("created_us", _INT),
    ("updated_us", _INT),
)
BOOKS_TRANSITIONS = _table(
    ("payment", _TEXT),
    ("intent", _TEXT),
    ("seq", _INT),
    ("from_state", _TEXT),
    ("to_state", _TEXT),
    ("cause", _TEXT),
    ("at_us", _INT),
)
#: One leg of a double entry; the legs of a journal sum to zero per currency.
BOOKS_ENTRIES = _table(
    ("entry", _TEXT),
    ("journal", _TEXT),
    ("journal_kind", _TEXT),  # capture | refund | reversal
    ("account", _TEXT),
    ("amount_minor", _INT),  # debit positive, credit negative
    ("currency", _TEXT),
    ("payment", _TEXT),
    ("intent", _TEXT),
    ("at_us", _INT),
)
#: Account balances as the service keeps them, to be rebuilt from the entries.
BOOKS_BALANCES = _table(("account", _TEXT), ("currency", _TEXT), ("balance_minor", _INT))
BOOKS_INBOX = _table(
    ("event", _TEXT),
    ("type", _TEXT),
    ("object", _TEXT),
    ("intent", _TEXT),
    ("state", _TEXT),  # received | applied | ignored
    ("deliveries", _INT),
    ("effects", _INT),  # how many times it changed something
    ("received_us", _INT),
)
BOOKS_OUTBOX = _table(
    ("message", _TEXT),
    ("kind", _TEXT),
    ("intent", _TEXT),
    ("state", _TEXT),
    ("created_us", _INT),
    ("sent_us", _INT),
)
#: Reconciliation breaks that the service itself found, by run of its job.
BOOKS_BREAKS = _table(
    ("break", _TEXT),
    ("run", _INT),
    ("type", _TEXT),
    ("intent", _TEXT),
    ("payment", _TEXT),
    ("psp_object", _TEXT),
    ("amount_minor", _INT),
    ("currency", _TEXT),
    ("remedy", _TEXT),
    ("state", _TEXT),  # open | resolved
    ("at_us", _INT),
)

#: Who held the lease of a topology of regions, as its witness wrote it down.
EPOCHS = _table(
    ("epoch", _INT),
    ("region", _TEXT),
    ("taken_us", _INT),  # the witness's wall clock
)

#: What a database held at a moment: ``promoted`` (right after it became the primary, before
#: anything was reconciled), ``before_rejoin`` (a former primary, before it was rewound or copied
#: over), ``restored`` (to a point in time) or ``end`` (every database that ran at the audit).
_MOMENT = (
    ("moment", _TEXT),
    ("node", _TEXT),
    ("at_ns", _INT),  # when it had been read
)
SNAPSHOTS = _table(
    *_MOMENT,
    ("payment", _TEXT),
    ("intent", _TEXT),
    ("state", _TEXT),  # as in books_payments
    ("amount_minor", _INT),
    ("captured_minor", _INT),
    ("currency", _TEXT),
    ("created_us", _INT),  # the wall clock of the database that wrote it
    ("updated_us", _INT),
)
#: Transitions of payments, and in which epoch which region committed them.
COMMITS = _table(
    *_MOMENT,
    ("payment", _TEXT),
    ("intent", _TEXT),
    ("seq", _INT),
    ("to_state", _TEXT),
    ("epoch", _INT),
    ("region", _TEXT),
    ("at_us", _INT),
)
SNAPSHOT_KEYS = _table(
    *_MOMENT,
    ("key", _TEXT),  # a digest of the idempotency key
    ("resource", _TEXT),  # what the key made
    ("created_us", _INT),
)

#: The epoch in which a request to the PSP was sent, where the service says so.
PSP_EPOCHS = _table(("request", _TEXT), ("epoch", _INT), ("received_ns", _INT))

SCHEMAS: dict[str, pa.Schema] = {
    "attempts": ATTEMPTS,
    "reserved": RESERVED,
    "events": EVENTS,
    "samples": SAMPLES,
    "series": SERIES,
    "alerts": ALERTS,
    "psp_attempts": PSP_ATTEMPTS,
    "psp_charges": PSP_CHARGES,
    "psp_refunds": PSP_REFUNDS,
    "psp_events": PSP_EVENTS,
    "books_payments": BOOKS_PAYMENTS,
    "books_refunds": BOOKS_REFUNDS,
    "books_transitions": BOOKS_TRANSITIONS,
    "books_entries": BOOKS_ENTRIES,
    "books_balances": BOOKS_BALANCES,
    "books_inbox": BOOKS_INBOX,
    "books_outbox": BOOKS_OUTBOX,
    "books_breaks": BOOKS_BREAKS,
    "epochs": EPOCHS,
    "snapshots": SNAPSHOTS,
    "commits": COMMITS,
    "snapshot_keys": SNAPSHOT_KEYS,
    "psp_epochs": PSP_EPOCHS,
}

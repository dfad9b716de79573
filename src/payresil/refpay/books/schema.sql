-- The service's books. Money is integer minor units; a currency is ISO 4217 in lower case.
-- Every statement may be run again.

create table if not exists idempotency_keys (
    key         text primary key,
    fingerprint bytea       not null,  -- keyed digest of the request; holds no card data
    operation   text        not null,  -- pay | refund | capture | cancel
    resource    text        not null,  -- the payment or operation that the key made
    request     text        not null,  -- which request made it: itself, if it has to ask again
    created_at  timestamptz not null default now()
);

create table if not exists payments (
    id             text primary key,
    reference      text        not null,  -- the merchant's own reference
    amount_minor   bigint      not null check (amount_minor > 0),
    currency       text        not null,
    capture        text        not null check (capture in ('automatic', 'manual')),
    method         text,                  -- a PSP token; null for a card, which is never kept
    state          text        not null,
    captured_minor bigint      not null default 0,
    refunded_minor bigint      not null default 0,
    psp_payment    text,
    psp_charge     text,
    reason         text,                  -- why it was declined or failed
    version        int         not null default 1,  -- number of the last transition
    asked          int         not null default 0,  -- how often the PSP was asked about it
    answered       boolean     not null default false,  -- a caller was told "processing"
    lease_until    timestamptz,           -- until then one worker has it to itself
    leased_by      text,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
) with (fillfactor = 70);
create index if not exists payments_reference on payments (reference);
create index if not exists payments_psp_payment on payments (psp_payment);
create index if not exists payments_unknown on payments (lease_until) where state = 'processing';

-- A refund, capture or cancellation of a payment: one unit of idempotency at the PSP.
create table if not exists operations (
    id           text primary key,
    kind         text        not null check (kind in ('refund', 'capture', 'cancel')),
    payment      text        not null references payments (id),
    amount_minor bigint      not null check (amount_minor >= 0),
    currency     text        not null,
    state        text        not null check (state in ('processing', 'succeeded', 'failed')),
    psp_object   text,                    -- the PSP's refund or payment intent
    reason       text,
    version      int         not null default 1,
    asked        int         not null default 0,
    answered     boolean     not null default false,
    lease_until  timestamptz,
    leased_by    text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
) with (fillfactor = 70);
create index if not exists operations_payment on operations (payment);
create index if not exists operations_psp_object on operations (psp_object);
create index if not exists operations_unknown on operations (lease_until)
    where state = 'processing';

-- Audit: a row for every change of state, of a payment (operation null) or of an operation.
create table if not exists transitions (
    id         bigint generated always as identity primary key,
    payment    text        not null,
    operation  text,
    seq        int         not null,
    from_state text,
    to_state   text        not null,
    cause      text        not null,  -- request | answer | webhook | resolver | reconcile
    instance   text        not null default current_setting('application_name'),
    at         timestamptz not null default now()
);

-- Double entry. A leg is a debit (positive) or a credit (negative); a journal's name says
-- what it books, so the same thing cannot be booked twice.
create table if not exists entries (
    journal      text        not null,  -- <kind>:<payment or operation>
    leg          smallint    not null,
    kind         text        not null check (kind in ('capture', 'refund', 'reversal')),
    payment      text        not null,
    account      text        not null,
    amount_minor bigint      not null check (amount_minor <> 0),
    currency     text        not null,
    at           timestamptz not null default now(),
    primary key (journal, leg)
);

-- Balances of accounts, striped so that payments do not queue for one row.
create table if not exists balances (
    account       text     not null,
    currency      text     not null,
    stripe        smallint not null,
    balance_minor bigint   not null,
    primary key (account, currency, stripe)
) with (fillfactor = 40);

create table if not exists inbox (
    event       text primary key,
    type        text        not null,
    object      text,
    reference   text,
    payment     text,
    state       text        not null check (state in ('received', 'applied', 'ignored')),
    deliveries  int         not null default 1,
    effects     int         not null default 0,
    received_at timestamptz not null default now()
) with (fillfactor = 80);
create index if not exists inbox_received on inbox (received_at) where state = 'received';

create table if not exists outbox (
    id         bigint generated always as identity primary key,
    kind       text        not null,
    payment    text        not null,
    operation  text,
    created_at timestamptz not null default now(),
    sent_at    timestamptz
) with (fillfactor = 80);
create index if not exists outbox_unsent on outbox (id) where sent_at is null;

create table if not exists reconcile_runs (
    run        bigint generated always as identity primary key,
    started_at timestamptz not null default now(),
    ended_at   timestamptz,
    examined   int,
    found      int,
    remedied   int
);

-- A break is named by what disagrees, so that finding it again does not add a row.
create table if not exists breaks (
    id           text primary key,
    run          bigint      not null references reconcile_runs (run),
    type         text        not null,
    payment      text,
    reference    text,
    psp_object   text,
    amount_minor bigint,
    currency     text,
    detail       text        not null,
    remedy       text        not null,
    state        text        not null check (state in ('open', 'resolved')),
    found_at     timestamptz not null default now(),
    resolved_at  timestamptz,
    resolved_run bigint
);

-- Every change of state goes through these functions: one round trip, one transaction,
-- row lock first. Statements of a volatile function see rows committed while it waited for
-- the lock, which a single statement would not.

create or replace function payment_may_move(p_from text, p_to text) returns boolean
language sql immutable as $$
    select (p_from, p_to) in (
        ('processing', 'succeeded'), ('processing', 'authorized'), ('processing', 'declined'),
        ('processing', 'failed'), ('processing', 'canceled'),
        ('authorized', 'succeeded'), ('authorized', 'canceled'))
$$;

create or replace function operation_may_move(p_from text, p_to text) returns boolean
language sql immutable as $$
    select (p_from, p_to) in (
        ('processing', 'succeeded'), ('processing', 'failed'),
        ('succeeded', 'failed'))  -- a refund that the bank sends back later
$$;

-- Make a payment and its key, or say what the key made before.
drop function if exists payment_admit(text, bytea, text, text, bigint, text, text, text, text,
                                      int, text);
create or replace function payment_admit(
    p_key text, p_fingerprint bytea, p_id text, p_reference text, p_amount bigint,
    p_currency text, p_capture text, p_method text, p_instance text, p_lease_ms int,
    p_request text, p_until timestamptz default null)
returns table (fresh boolean, fingerprint bytea, operation text, resource text)
language plpgsql as $$
begin
    perform refuse_after(p_until);
    insert into idempotency_keys (key, fingerprint, operation, resource, request)
    values (p_key, p_fingerprint, 'pay', p_id, p_request) on conflict do nothing;
    if not found then
        return query select k.request = p_request, k.fingerprint, k.operation, k.resource
                     from idempotency_keys k where k.key = p_key;
        return;
    end if;
    insert into payments (id, reference, amount_minor, currency, capture, method, state,
                          lease_until, leased_by)
    values (p_id, p_reference, p_amount, p_currency, p_capture, p_method, 'processing',
            now() + p_lease_ms * interval '1 ms', p_instance) on conflict do nothing;
    if not found then  -- lost with its key once, and adopted again by reconciliation
        return query select false, p_fingerprint, 'pay'::text, p_id;
        return;
    end if;
    insert into transitions (payment, seq, to_state, cause)
    values (p_id, 1, 'processing', 'request');
    return query select true, p_fingerprint, 'pay'::text, p_id;
end $$;

-- Move a payment to what the PSP says of it, with ledger, audit and outbox. A move that is
-- not legal, or was made before, changes nothing.
create or replace function payment_move(
    p_id text, p_to text, p_cause text, p_psp_payment text, p_psp_charge text,
    p_captured bigint, p_reason text)
returns table (changed boolean, state text, captured_minor bigint, refunded_minor bigint,
               reason text)
language plpgsql as $$
declare
    p payments%rowtype;
begin
    select * into p from payments where payments.id = p_id for update;
    if not found then
        return;
    end if;
    if not payment_may_move(p.state, p_to) then
        return query select false, p.state, p.captured_minor, p.refunded_minor, p.reason;
        return;
    end if;
    update payments set
        state = p_to, version = p.version + 1, updated_at = now(),
        psp_payment = coalesce(p_psp_payment, p.psp_payment),
        psp_charge = coalesce(p_psp_charge, p.psp_charge),
        captured_minor = case when p_to = 'succeeded' then p_captured else 0 end,
        reason = p_reason, lease_until = null, leased_by = null
    where payments.id = p_id;
    insert into transitions (payment, seq, from_state, to_state, cause)
    values (p_id, p.version + 1, p.state, p_to, p_cause);
    if p_to = 'succeeded' then
        perform post_journal('capture', p_id, p_id, p.currency,
                             array['merchant_payable', 'psp_receivable'],
                             array[-p_captured, p_captured]);
    end if;
    insert into outbox (kind, payment) values ('payment.' || p_to, p_id);
    return query select true, p_to,
        case when p_to = 'succeeded' then p_captured else 0 end, 0::bigint, p_reason;
end $$;

-- Make a refund, capture or cancellation and its key; verdict: fresh | replay | not_found |
-- wrong_state | exceeds. A refused request leaves no trace, so its key stays free.
drop function if exists operation_admit(text, bytea, text, text, text, bigint, text, int, text);
create or replace function operation_admit(
    p_key text, p_fingerprint bytea, p_id text, p_kind text, p_payment text, p_amount bigint,
    p_instance text, p_lease_ms int, p_request text, p_until timestamptz default null)
returns table (verdict text, fingerprint bytea, operation text, resource text,
               amount_minor bigint, currency text, psp_payment text)
language plpgsql as $$
declare
    p payments%rowtype;
    amount bigint;
    taken bigint;
begin
    perform refuse_after(p_until);
    select * into p from payments where payments.id = p_payment for update;
    if not found then
        return query select 'not_found', null::bytea, null::text, null::text, null::bigint,
                            null::text, null::text;
        return;
    end if;
    return query select case when k.request = p_request then 'fresh' else 'replay' end,
                        k.fingerprint, k.operation, k.resource, o.amount_minor, p.currency,
                        p.psp_payment
                 from idempotency_keys k left join operations o on o.id = k.resource
                 where k.key = p_key;
    if found then
        return;
    end if;
    select coalesce(sum(o.amount_minor), 0) into taken from operations o
    where o.payment = p_payment and o.kind = 'refund' and o.state <> 'failed';
    amount := case p_kind
        when 'refund' then coalesce(p_amount, p.captured_minor - taken)
        when 'capture' then coalesce(p_amount, p.amount_minor)
        else 0 end;
    if p.state <> (case p_kind when 'refund' then 'succeeded' else 'authorized' end)
       or (p_kind <> 'refund' and exists (
            select from operations o where o.payment = p_payment
            and o.kind <> 'refund' and o.state <> 'failed')) then
        return query select 'wrong_state', null::bytea, null::text, p.state, null::bigint,
                            p.currency, p.psp_payment;
        return;
    end if;
    if (p_kind = 'refund' and (amount <= 0 or taken + amount > p.captured_minor))
       or (p_kind = 'capture' and amount > p.amount_minor) then
        return query select 'exceeds', null::bytea, null::text, null::text,
                            p.captured_minor - taken, p.currency, p.psp_payment;
        return;
    end if;
    return query select * from operation_insert(p_key, p_fingerprint, p_id, p_kind, p_payment,
                                                amount, p_instance, p_lease_ms, p_request);
end $$;

-- The durable half of operation_admit: it trusts the caller with the amount.
create or replace function operation_insert(
    p_key text, p_fingerprint bytea, p_id text, p_kind text, p_payment text, p_amount bigint,
    p_instance text, p_lease_ms int, p_request text)
returns table (verdict text, fingerprint bytea, operation text, resource text,
               amount_minor bigint, currency text, psp_payment text)
language plpgsql as $$
declare
    p payments%rowtype;
begin
    select * into p from payments where payments.id = p_payment;
    insert into idempotency_keys (key, fingerprint, operation, resource, request)
    values (p_key, p_fingerprint, p_kind, p_id, p_request) on conflict do nothing;
    if not found then  -- the key was used for another payment a moment ago
        return query select 'replay', k.fingerprint, k.operation, k.resource, null::bigint,
                            p.currency, p.psp_payment
                     from idempotency_keys k where k.key = p_key;
        return;
    end if;
    insert into operations (id, kind, payment, amount_minor, currency, state, lease_until,
                            leased_by)
    values (p_id, p_kind, p_payment, p_amount, p.currency, 'processing',
            now() + p_lease_ms * interval '1 ms', p_instance) on conflict do nothing;
    if not found then  -- lost with its key once, and adopted again by reconciliation
        return query select 'replay', p_fingerprint, p_kind, p_id, null::bigint, p.currency,
                            p.psp_payment;
        return;
    end if;
    insert into transitions (payment, operation, seq, to_state, cause)
    values (p_payment, p_id, 1, 'processing', 'request');
    return query select 'fresh', p_fingerprint, p_kind, p_id, p_amount, p.currency,
                        p.psp_payment;
end $$;

-- Move an operation to what the PSP says of it, and its payment with it.
create or replace function operation_move(
    p_id text, p_to text, p_cause text, p_psp_object text, p_reason text)
returns table (changed boolean, state text, reason text) language plpgsql as $$
declare
    o operations%rowtype;
begin
    -- The payment is locked before its operation, everywhere, so that nobody deadlocks.
    perform from payments p where p.id =
        (select op.payment from operations op where op.id = p_id) for update;
    select * into o from operations where operations.id = p_id for update;
    if not found then
        return;
    end if;
    if not operation_may_move(o.state, p_to) or (o.state = 'succeeded' and o.kind <> 'refund')
    then
        return query select false, o.state, o.reason;
        return;
    end if;
    update operations set state = p_to, version = o.version + 1, updated_at = now(),
        psp_object = coalesce(p_psp_object, o.psp_object), reason = p_reason,
        lease_until = null, leased_by = null
    where operations.id = p_id;
    insert into transitions (payment, operation, seq, from_state, to_state, cause)
    values (o.payment, p_id, o.version + 1, o.state, p_to, p_cause);
    insert into outbox (kind, payment, operation)
    values (o.kind || '.' || p_to, o.payment, p_id);
    perform operation_effect(o, p_to, p_cause);
    return query select true, p_to, p_reason;
end $$;

-- What a finished operation does to its payment and to the ledger.
create or replace function operation_effect(o operations, p_to text, p_cause text)
returns void language plpgsql as $$
begin
    if o.kind = 'refund' and p_to = 'succeeded' then
        update payments set refunded_minor = refunded_minor + o.amount_minor, updated_at = now()
        where id = o.payment;
        perform post_journal('refund', o.id, o.payment, o.currency,
                             array['merchant_payable', 'psp_receivable'],
                             array[o.amount_minor, -o.amount_minor]);
    elsif o.kind = 'refund' and o.state = 'succeeded' then
        update payments set refunded_minor = refunded_minor - o.amount_minor, updated_at = now()
        where id = o.payment;
        perform post_journal('reversal', o.id, o.payment, o.currency,
                             array['merchant_payable', 'psp_receivable'],
                             array[-o.amount_minor, o.amount_minor]);
    elsif o.kind = 'capture' and p_to = 'succeeded' then
        perform payment_move(o.payment, 'succeeded', p_cause, null, null, o.amount_minor, null);
    elsif o.kind = 'cancel' and p_to = 'succeeded' then
        perform payment_move(o.payment, 'canceled', p_cause, null, null, 0, null);
    end if;
end $$;

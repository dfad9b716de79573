-- What only the reconciliation job does. Each function may be called again: the journals'
-- names make sure that nothing is booked twice.

-- A payment that the PSP has and the books had lost.
create or replace function payment_adopt(
    p_id text, p_reference text, p_amount bigint, p_currency text, p_capture text)
returns boolean language plpgsql as $$
begin
    insert into payments (id, reference, amount_minor, currency, capture, state, answered,
                          lease_until)
    values (p_id, p_reference, p_amount, p_currency, p_capture, 'processing', true, now())
    on conflict do nothing;
    if not found then
        return false;
    end if;
    insert into transitions (payment, seq, to_state, cause)
    values (p_id, 1, 'processing', 'reconcile');
    return true;
end $$;

-- Money that came twice and was given back: in and out of suspense, in one journal.
create or replace function charge_undone(
    p_payment text, p_charge text, p_amount bigint, p_currency text)
returns boolean language plpgsql as $$
begin
    perform from payments p where p.id = p_payment for update;
    if exists (select from entries e where e.journal = 'reversal:' || p_charge) then
        return false;
    end if;
    perform post_journal('reversal', p_charge, p_payment, p_currency,
        array['psp_receivable', 'psp_receivable', 'suspense', 'suspense'],
        array[p_amount, -p_amount, -p_amount, p_amount]);
    return true;
end $$;

-- The books held more than the PSP took: book the difference out, down to p_captured.
create or replace function payment_correct(p_id text, p_captured bigint)
returns boolean language plpgsql as $$
declare
    p payments%rowtype;
    excess bigint;
    number int;
begin
    select * into p from payments where payments.id = p_id for update;
    excess := p.captured_minor - p_captured;
    if not found or p.state <> 'succeeded' or excess <= 0 or p_captured < p.refunded_minor then
        return false;
    end if;
    select count(*) into number from entries e
    where e.payment = p_id and e.kind = 'reversal' and e.leg = 1;
    perform post_journal('reversal', p_id || ':' || number, p_id, p.currency,
        array['merchant_payable', 'psp_receivable'], array[excess, -excess]);
    update payments set captured_minor = p_captured, updated_at = now() where id = p_id;
    return true;
end $$;

-- The PSP has nothing: the payment never was.
create or replace function payment_void(p_id text, p_reason text)
returns boolean language plpgsql as $$
declare
    p payments%rowtype;
begin
    select * into p from payments where payments.id = p_id for update;
    if not found or p.state not in ('succeeded', 'authorized') then
        return false;
    end if;
    perform payment_correct(p_id, p.refunded_minor);
    update payments set state = 'failed', reason = p_reason, version = p.version + 1,
        updated_at = now() where id = p_id;
    insert into transitions (payment, seq, from_state, to_state, cause)
    values (p_id, p.version + 1, p.state, 'failed', 'reconcile');
    insert into outbox (kind, payment) values ('payment.failed', p_id);
    return true;
end $$;

-- A refund that the PSP made and the books did not know.
create or replace function refund_adopt(
    p_id text, p_payment text, p_amount bigint, p_psp_refund text)
returns boolean language plpgsql as $$
declare
    p payments%rowtype;
    taken bigint;
begin
    select * into p from payments where payments.id = p_payment for update;
    if exists (select from operations o where o.psp_object = p_psp_refund) then
        return false;
    end if;
    select coalesce(sum(o.amount_minor), 0) into taken from operations o
    where o.payment = p_payment and o.kind = 'refund' and o.state <> 'failed';
    if p.state <> 'succeeded' or taken + p_amount > p.captured_minor then
        return false;
    end if;
    insert into operations (id, kind, payment, amount_minor, currency, state, psp_object,
                            answered, lease_until)
    values (p_id, 'refund', p_payment, p_amount, p.currency, 'processing', p_psp_refund, true,
            now() + interval '1 minute');
    insert into transitions (payment, operation, seq, to_state, cause)
    values (p_payment, p_id, 1, 'processing', 'reconcile');
    perform operation_move(p_id, 'succeeded', 'reconcile', p_psp_refund, null);
    return true;
end $$;

-- Receipt of a PSP event and its effect, in one transaction. A second delivery, or a second
-- event that tells the same thing, changes nothing: the moves themselves are guarded.
create or replace function event_receive(
    p_event text, p_type text, p_object text, p_reference text, p_payment text,
    p_operation text, p_psp_payment text, p_to text, p_captured bigint, p_reason text)
returns table (state text, changed boolean) language plpgsql as $$
declare
    target text;
    booked text;  -- the PSP payment that the books hold
    moved boolean := false;
    outcome text := 'ignored';
begin
    update inbox set deliveries = deliveries + 1 where inbox.event = p_event
        returning inbox.state into outcome;
    if found then
        return query select outcome, false;
        return;
    end if;
    outcome := 'ignored';
    select p.id, p.psp_payment into target, booked from payments p where p.id = p_payment;
    if target is null then
        select p.id, p.psp_payment into target, booked from payments p
        where p.psp_payment = p_psp_payment limit 1;
    end if;
    if target is null then
        outcome := 'received';  -- kept for the reconciliation job
    elsif p_to is not null and p_operation is not null then
        select m.changed into moved
        from operation_move(p_operation, p_to, 'webhook', p_object, p_reason) m;
    elsif p_to is not null and (booked is null or booked = p_psp_payment) then
        select m.changed into moved
        from payment_move(target, p_to, 'webhook', p_psp_payment, null, p_captured,
                          p_reason) m;
    end if;
    moved := coalesce(moved, false);
    if moved then
        outcome := 'applied';
    end if;
    insert into inbox (event, type, object, reference, payment, state, effects)
    values (p_event, p_type, p_object, p_reference, target, outcome, moved::int)
    on conflict (event) do update set
        deliveries = inbox.deliveries + 1, effects = inbox.effects + excluded.effects,
        state = case when excluded.state = 'applied' then 'applied' else inbox.state end;
    return query select outcome, moved;
end $$;

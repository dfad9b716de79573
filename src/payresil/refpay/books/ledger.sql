-- The ledger: append-only, balanced per journal and currency, whoever writes to it.

create or replace function entries_balance() returns trigger language plpgsql as $$
begin
    if exists (select from added group by journal, currency
               having sum(amount_minor) <> 0 or count(*) < 2) then
        raise exception 'a journal must have two legs or more that sum to zero'
            using errcode = 'check_violation';
    end if;
    return null;
end $$;
create or replace trigger entries_balance after insert on entries
    referencing new table as added for each statement execute function entries_balance();

create or replace function entries_are_final() returns trigger language plpgsql as $$
begin
    raise exception 'ledger entries are never changed: post a new journal'
        using errcode = 'check_violation';
end $$;
create or replace trigger entries_are_final before update or delete or truncate on entries
    for each statement execute function entries_are_final();

-- Post one journal and keep the balances with it. The accounts come in alphabetical order,
-- so that two journals lock the rows of one stripe in the same order.
create or replace function post_journal(
    p_kind text, p_source text, p_payment text, p_currency text,
    p_accounts text[], p_amounts bigint[]) returns void language plpgsql as $$
begin
    insert into entries (journal, leg, kind, payment, account, amount_minor, currency)
    select p_kind || ':' || p_source, leg, p_kind, p_payment, account, amount, p_currency
    from unnest(p_accounts, p_amounts) with ordinality as legs (account, amount, leg);

    insert into balances (account, currency, stripe, balance_minor)
    select account, p_currency, hashtext(p_payment) & 15, sum(amount)
    from unnest(p_accounts, p_amounts) as legs (account, amount)
    group by account order by account
    on conflict (account, currency, stripe)
        do update set balance_minor = balances.balance_minor + excluded.balance_minor;
end $$;

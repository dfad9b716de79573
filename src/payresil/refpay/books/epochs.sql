-- In which epoch of its lease, and in which region, a row was written: from the settings of the
-- session that wrote it. Null where the service has no lease.

alter table payments add column if not exists epoch int;
alter table payments add column if not exists region text;
alter table transitions add column if not exists epoch int;
alter table transitions add column if not exists region text;

-- Defaults apart from the columns: rows that were there already belong to no epoch.
alter table payments
    alter column epoch set default nullif(current_setting('refpay.epoch', true), '')::int,
    alter column region set default nullif(current_setting('refpay.region', true), '');
alter table transitions
    alter column epoch set default nullif(current_setting('refpay.epoch', true), '')::int,
    alter column region set default nullif(current_setting('refpay.region', true), '');

-- A statement may reach the database late, when another region has the lease: nothing is begun.
create or replace function refuse_after(p_until timestamptz) returns void language plpgsql as $$
begin
    if clock_timestamp() > p_until then
        raise exception 'the lease of this region had run out'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
end $$;

-- The witness: which region may take payments, on this database's own clock. One row is the
-- lease; everybody locks it first, so that of two takers, or of a taker and a renewer, one wins.
-- Every statement may be run again.

create table if not exists lease (
    single  boolean     primary key default true check (single),
    epoch   int         not null,  -- 0: never taken
    region  text,
    until   timestamptz not null,
    retired boolean     not null default false  -- it may not be renewed: it runs out
);
insert into lease (epoch, until) values (0, '-infinity') on conflict do nothing;

create table if not exists epochs (
    epoch    int         primary key,
    region   text        not null,
    taken_at timestamptz not null
);

create or replace function lease_left_ms(p_until timestamptz) returns int
language sql volatile as $$
    select case when p_until > clock_timestamp()
        then ceil(extract(epoch from p_until - clock_timestamp()) * 1000)::int else 0 end
$$;

-- Who has, or had last, the lease; remaining_ms 0: it ran out.
create or replace function lease_state()
returns table (epoch int, region text, remaining_ms int) language sql volatile as $$
    select l.epoch, l.region, lease_left_ms(l.until) from lease l
$$;

-- The next epoch, for a region, once the one before has run out.
create or replace function lease_take(p_region text, p_ttl_ms int default 2000)
returns table (taken boolean, epoch int, remaining_ms int) language plpgsql as $$
declare
    held lease%rowtype;
    moment timestamptz;
begin
    if p_region is null or p_ttl_ms is null or p_ttl_ms <= 0 then
        raise exception 'lease_take needs a region and a time above 0 ms';
    end if;
    select * into strict held from lease for update;
    moment := clock_timestamp();  -- only now: the lock may have been waited for
    if held.until > moment then
        return query select false, held.epoch, lease_left_ms(held.until);
        return;
    end if;
    update lease set epoch = held.epoch + 1, region = p_region, retired = false,
        until = moment + p_ttl_ms * interval '1 ms';
    insert into epochs values (held.epoch + 1, p_region, moment);
    return query select true, held.epoch + 1, p_ttl_ms;
end $$;

-- More time for who has it; also after it ran out, as long as nobody has taken it since.
create or replace function lease_renew(p_region text, p_epoch int, p_ttl_ms int)
returns boolean language plpgsql as $$
declare
    held lease%rowtype;
begin
    select * into strict held from lease for update;
    if held.region is distinct from p_region or held.epoch <> p_epoch or held.retired then
        return false;
    end if;
    update lease set until = greatest(until, clock_timestamp() + p_ttl_ms * interval '1 ms');
    return true;
end $$;

-- An operator's way to have an epoch run out, whether its region can be reached or not.
create or replace function lease_retire(p_epoch int) returns boolean language plpgsql as $$
begin
    perform from lease for update;
    update lease set retired = true where epoch = p_epoch;
    return found;
end $$;

create or replace function lease_history()
returns table (epoch int, region text, taken_us bigint) language sql stable as $$
    select e.epoch, e.region, (extract(epoch from e.taken_at) * 1000000)::bigint
    from epochs e order by e.epoch
$$;

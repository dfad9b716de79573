-- With synchronous standbys, a commit whose wait for them was cut short is there for everybody to
-- read, and gone with this server. Who tells a caller what a row says waits for them first: a
-- transaction is seen only once its own wait has ended, and this one's commit comes after it.
create or replace function replicated() returns boolean language plpgsql volatile as $$
begin
    if current_setting('synchronous_standby_names') <> '' then
        perform pg_logical_emit_message(true, 'refpay', '');
    end if;
    return true;
end $$;

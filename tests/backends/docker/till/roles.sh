#!/bin/sh
# Run once, when the database's cluster is made: the service owns the database, the auditor may read.
set -eu
psql -X -q -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    -v service="$SERVICE_PASSWORD" -v auditor="$AUDITOR_PASSWORD" -v database="$POSTGRES_DB" <<'SQL'
create role service login password :'service';
create role auditor login password :'auditor' in role pg_read_all_data;
alter database :"database" owner to service;
SQL

#!/bin/sh
# Run once, by the first start of the postgres container: a role and a database for each program.
# Passwords go from files into psql, never onto a command line.
set -eu
secrets=${SECRETS:-/run/secrets}
for part in prefect mlflow ledger; do
    psql --set ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
\set password \`cat "$secrets/${part}_password"\`
CREATE ROLE $part LOGIN PASSWORD :'password';
CREATE DATABASE $part OWNER $part;
REVOKE CONNECT ON DATABASE $part FROM PUBLIC;
SQL
done
psql --set ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
CREATE DATABASE mlflow_accounts OWNER mlflow;
REVOKE CONNECT ON DATABASE mlflow_accounts FROM PUBLIC;
SQL

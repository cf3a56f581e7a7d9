"""The ledger's tables and triggers, for SQLite and PostgreSQL.

The triggers refuse what an append-only table must refuse. SQLite's `INSERT OR REPLACE` deletes rows
without asking a DELETE trigger; the rule that numbers come in turn stops it.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

SETUP_LOCK = 7_205_759_403  # PostgreSQL advisory lock: one process at a time makes the tables
REFUSAL = "the ledger is append-only"

SQLITE_TRIGGERS = (
    f"""CREATE TRIGGER IF NOT EXISTS ledger_keeps_rows BEFORE UPDATE ON ledger
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_loses_none BEFORE DELETE ON ledger
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_in_turn BEFORE INSERT ON ledger
        WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM ledger)
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
)
POSTGRES_TRIGGERS = (
    f"""CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
    f"""CREATE OR REPLACE FUNCTION ledger_in_turn() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
             IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM ledger) THEN
               RAISE EXCEPTION '{REFUSAL}';
             END IF;
             RETURN NEW;
           END $$""",
    """CREATE OR REPLACE TRIGGER ledger_keeps_rows BEFORE UPDATE OR DELETE ON ledger
        FOR EACH ROW EXECUTE FUNCTION ledger_refuses()""",
    """CREATE OR REPLACE TRIGGER ledger_loses_none BEFORE TRUNCATE ON ledger
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()""",
    """CREATE OR REPLACE TRIGGER ledger_in_turn BEFORE INSERT ON ledger
        FOR EACH ROW EXECUTE FUNCTION ledger_in_turn()""",
)


@cache
def ledger() -> "Table":
    """The table of events; its columns are the fields of `events.Row`."""
    from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

    return Table(
        "ledger",
        MetaData(),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        *(
            Column(name, Text, nullable=False)
            for name in ("at", "actor", "action", "subject", "outcome")
        ),
        Column("once", Text, unique=True),
        Column("hash", Text, nullable=False),
        Column("line", Text, nullable=False),
        Index("ledger_history", "subject", "action", "outcome", "seq"),
        Index("ledger_time", "at"),
    )


@cache
def leases() -> "Table":
    """Who may change the aliases of a model just now; see `leases`."""
    from sqlalchemy import Column, Float, MetaData, Table, Text

    return Table(
        "leases",
        MetaData(),
        Column("subject", Text, primary_key=True),
        Column("holder", Text, nullable=False),
        Column("expires", Float, nullable=False),
    )


def create_tables(engine: "Engine") -> None:
    """Make tables and triggers where they are missing; safe in several processes at once."""
    with engine.connect() as connection:
        sqlite = own_transactions(connection)
        if sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SETUP_LOCK})")
        if not engine.dialect.has_table(connection, "leases"):
            ledger().metadata.create_all(connection)
            leases().metadata.create_all(connection)
            for statement in SQLITE_TRIGGERS if sqlite else POSTGRES_TRIGGERS:
                connection.exec_driver_sql(statement)
        if sqlite:
            connection.exec_driver_sql("COMMIT")
        else:
            connection.commit()


def own_transactions(connection: "Connection") -> bool:
    """Whether transactions are begun by hand here: with SQLite, where the driver is too late."""
    return connection.dialect.name == "sqlite"

"""The ledger's database, its tables and triggers, for SQLite and PostgreSQL.

The triggers refuse what an append-only table must refuse. SQLite's `INSERT OR REPLACE` deletes the
rows that stand in its way (same `seq`, same `once`, same rowid) without asking a DELETE trigger, so
an INSERT that would meet one is refused before. Files of older versions get what they lack when
they are opened.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Table
    from sqlalchemy.exc import DBAPIError

BUSY_SECONDS = 60
SETUP_LOCK = 7_205_759_403  # PostgreSQL advisory lock: one process at a time makes the tables
LIBPQ = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,  # ms that sent data may stay unacknowledged
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# The same of the server towards this client; and PGTZ of a host must not decide what time it is.
SESSION = (
    "SELECT set_config('tcp_user_timeout', '30s', false), "
    "set_config('tcp_keepalives_idle', '30', false), "
    "set_config('tcp_keepalives_interval', '10', false), "
    "set_config('tcp_keepalives_count', '3', false), "
    "set_config('timezone', 'UTC', false)"
)
REFUSAL = "the ledger is append-only"

SQLITE_TRIGGERS = (
    f"""CREATE TRIGGER IF NOT EXISTS ledger_keeps_rows BEFORE UPDATE ON ledger
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_loses_none BEFORE DELETE ON ledger
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_in_turn BEFORE INSERT ON ledger
        WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM ledger)
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER IF NOT EXISTS ledger_replaces_none BEFORE INSERT ON ledger
        WHEN EXISTS (SELECT 1 FROM ledger WHERE once = NEW.once)
          OR EXISTS (SELECT 1 FROM ledger WHERE rowid = NEW.rowid)
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    # Before an INSERT, -1 means that no rowid was given: a row that has it could be replaced.
    f"""CREATE TRIGGER IF NOT EXISTS ledger_has_no_blind_spot AFTER INSERT ON ledger
        WHEN NEW.rowid = -1
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
)
POSTGRES_TRIGGERS = (
    f"""CREATE OR REPLACE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
    f"""CREATE OR REPLACE FUNCTION ledger_in_turn() RETURNS trigger LANGUAGE plpgsql AS
        $$ DECLARE next bigint;
           BEGIN
             -- With its schema: a temporary table called `ledger` would be asked otherwise.
             EXECUTE 'SELECT coalesce(max(seq), 0) + 1 FROM '
               || quote_ident(TG_TABLE_SCHEMA) || '.' || quote_ident(TG_TABLE_NAME) INTO next;
             IF NEW.seq <> next THEN
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


def open_engine(url: str) -> "Engine":
    """What connects to a database; an SQLite file's folder is made, and its commits are on disk."""
    from sqlalchemy import create_engine, event, make_url

    target = make_url(url)
    if target.get_backend_name() != "sqlite":
        engine = create_engine(target, pool_pre_ping=True, connect_args=bounded_waits(target))
        prepare_sessions(engine)
        return engine
    if target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True)
    # Transactions are ours: the driver's own begin too late to keep other writers out.
    engine = create_engine(
        target, isolation_level="AUTOCOMMIT", connect_args={"timeout": BUSY_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def bounded_waits(target: "URL") -> dict[str, Any]:
    """What psycopg must be told, or it waits a quarter of an hour for a host that is cut off."""
    if not target.get_driver_name().startswith("psycopg"):
        return {}
    return {name: value for name, value in LIBPQ.items() if name not in target.query}


def prepare_sessions(engine: "Engine") -> None:
    """Have PostgreSQL end sessions of hosts that vanished within a minute, not after two hours.

    Until then their locks are held, the ledger's among them, and nobody else can write. Times are
    told in UTC. Holds for connections that are made from now on.
    """
    from sqlalchemy import event

    if engine.dialect.name != "postgresql":
        return

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: object) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(SESSION)
        connection.commit()  # or a rollback would take it back


def create_tables(engine: "Engine") -> None:
    """Make tables and triggers where they are missing; safe in several processes at once."""
    with engine.connect() as connection:
        sqlite = own_transactions(connection)
        if sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SETUP_LOCK})")
        tables = (ledger(), leases())
        missing = not all(engine.dialect.has_table(connection, table.name) for table in tables)
        for table in tables if missing else ():
            table.metadata.create_all(connection)
        if missing or sqlite:  # a PostgreSQL role that may only write could not make them
            for statement in SQLITE_TRIGGERS if sqlite else POSTGRES_TRIGGERS:
                connection.exec_driver_sql(statement)
        if sqlite:
            connection.exec_driver_sql("COMMIT")
        else:
            connection.commit()


def own_transactions(connection: "Connection") -> bool:
    """Whether transactions are begun by hand here: with SQLite, where the driver is too late."""
    return connection.dialect.name == "sqlite"


def is_spoilt(error: "DBAPIError") -> bool:
    """Whether SQLite found text that is none, or its file damaged: neither passes by itself."""
    if not isinstance(error.orig, sqlite3.DatabaseError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", None)  # the driver's own complaints have none
    return code is None or code & 0xFF == sqlite3.SQLITE_CORRUPT


@contextlib.contextmanager
def lenient(connection: "Connection") -> Iterator[None]:
    """SQLite keeps any bytes as text: give those that are none as bytes instead of failing."""
    driver: Any = connection.connection.driver_connection
    if not own_transactions(connection):
        yield
        return
    driver.text_factory = _text
    try:
        yield
    finally:
        driver.text_factory = str


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw

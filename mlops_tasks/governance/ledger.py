"""The append-only table of events, in SQLite or PostgreSQL, by URL.

Guarantees: numbers have no gaps and times never go back, whoever writes from however many
processes; an entry is there completely or not at all; UPDATE, DELETE, TRUNCATE and an INSERT out of
turn are refused by triggers, also for those who come with another client. Who can drop the triggers
can still change rows: `chain` finds that. A PostgreSQL that is started again is waited for, and
what was written when it died is not written twice.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.appending import append_within, last, lies_there
from mlops_tasks.governance.events import Entry, Event, Row, entry_of, hash_of, masked
from mlops_tasks.governance.tables import (
    create_tables,
    is_spoilt,
    ledger,
    lenient,
    open_engine,
    own_transactions,
)
from mlops_tasks.patience import patient

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

BATCH = 1_000  # larger ones are slower: they leave the processor's cache
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: every field that is set must fit.

    `since` and `until` are ISO times in UTC, both included; `after` is a number, not included.
    """

    actor: str = ""
    action: tuple[str, ...] = ()
    subject: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""
    after: int = 0


class Ledger:
    """An open ledger. Safe to share between threads; each process opens its own.

    Parameters
    ----------
    url
        SQLAlchemy URL, for example `sqlite:////home/ada/.mlops/ledger.db` or `postgresql://…`.

    Raises
    ------
    LedgerError
        If it cannot be opened or made.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Drivers take the parts of an address to pieces with errors of their own.
        with self._talking(ValueError, TypeError, OverflowError):
            self._engine = open_engine(url)
            create_tables(self._engine)

    def append(self, event: Event) -> Entry:
        """Write an event after all others.

        Raises
        ------
        LedgerError
            If the event is not fit to be recorded or the database does not take it.
        """
        made: list[Entry] = []

        @patient
        def attempt() -> Entry:
            with self.writing() as connection:
                if not (made and lies_there(connection, made[-1])):
                    made.append(append_within(connection, event))
            return made[-1]

        return attempt()

    @patient
    def entries(
        self, wanted: Wanted | None = None, *, newest: bool = False, limit: int | None = None
    ) -> list[Entry]:
        """The events that fit, oldest first, or newest first."""
        query = _fitting(wanted or Wanted())
        order = ledger().c.seq.desc() if newest else ledger().c.seq
        with self._reading() as connection, lenient(connection):
            found = connection.execute(query.order_by(order).limit(limit))
            return [entry_of(Row(*row)) for row in found]

    @patient
    def find(self, once: str) -> Entry | None:
        """The event that was recorded with this key, if any."""
        with self._reading() as connection, lenient(connection):
            found = connection.execute(ledger().select().where(ledger().c.once == once)).first()
            return entry_of(Row(*found)) if found else None

    def rows(self) -> Iterator[Row]:
        """All rows as they lie, in order of their numbers; streamed.

        Text that is not UTF-8 comes as bytes; where SQLite's file is damaged the last row is empty.
        """
        from sqlalchemy.exc import DBAPIError

        query, done = _fitting(Wanted()).order_by(ledger().c.seq), 0
        with self._reading() as connection:
            try:
                for batch in _streamed(connection, query, BATCH):
                    yield from map(Row._make, batch)
                    done += len(batch)
                return
            except DBAPIError as error:
                if not is_spoilt(error):
                    raise
            with lenient(connection):
                try:
                    for batch in _streamed(connection, query.offset(done), 1):
                        yield from map(Row._make, batch)
                        done += 1
                except DBAPIError as error:
                    if not is_spoilt(error):
                        raise
                    yield Row(done + 1, "", "", "", "", "", None, hash_of(""), "")

    @patient
    def head(self) -> tuple[int, str, str]:
        """Number of entries, and hash and time of the last."""
        with self._reading() as connection:
            return last(connection)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def writing(self) -> Iterator["Connection"]:
        """A transaction that no other writer shares; the way to more than one write at once."""
        with self._talking(), patient(self._engine.connect)() as connection:
            if own_transactions(connection):
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql("LOCK TABLE ledger IN EXCLUSIVE MODE")
            try:
                yield connection
            except BaseException:
                _end(connection, "ROLLBACK")
                raise
            _end(connection, "COMMIT")

    @contextlib.contextmanager
    def _reading(self) -> Iterator["Connection"]:
        with self._talking(), patient(self._engine.connect)() as connection:
            yield connection

    @contextlib.contextmanager
    def _talking(self, *more: type[Exception]) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        kinds: list[type[Exception]] = [SQLAlchemyError, OSError, ImportError, *more]
        try:
            yield
        except tuple(kinds) as error:
            reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise LedgerError(
                f"the ledger cannot be used: {masked(self.url, reason)[:LONGEST_REASON]}",
                where=_shown(self.url),
                next_step="check `stack.ledger` and that you may write there",
            ) from error


def _streamed(connection: "Connection", query: "Select[Any]", size: int) -> Iterator[Any]:
    return connection.execute(query, execution_options={"yield_per": size}).partitions()


def _fitting(wanted: Wanted) -> "Select[Any]":
    from sqlalchemy import select

    columns = ledger().c
    query = ledger().select()
    for name in ("actor", "subject", "outcome"):
        if value := getattr(wanted, name):
            query = query.where(columns[name] == value)
    if wanted.action:
        query = query.where(columns.action.in_(wanted.action))
    if wanted.after:
        query = query.where(columns.seq > wanted.after)
    # Times never go back, so a span of them is one of numbers, which the indexes end in.
    times = ledger().alias("times").c
    if wanted.since:
        first = select(times.seq).where(times.at >= wanted.since).order_by(times.at, times.seq)
        query = query.where(columns.seq >= first.limit(1).scalar_subquery())
    if wanted.until:
        last = select(times.seq).where(times.at <= wanted.until)
        last = last.order_by(times.at.desc(), times.seq.desc())
        query = query.where(columns.seq <= last.limit(1).scalar_subquery())
    return query


def _end(connection: "Connection", word: str) -> None:
    if own_transactions(connection):
        connection.exec_driver_sql(word)
    elif word == "COMMIT":
        connection.commit()
    else:
        connection.rollback()


def _shown(url: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(url)
    except (ArgumentError, ValueError):
        return "stack.ledger"  # where a password would stand in it is not known
    return masked(url)

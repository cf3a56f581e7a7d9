"""How one entry follows another, inside a transaction of `Ledger.writing`.

The transaction, and what is done when it fails, are the ledger's affair.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.events import START, Entry, Event, Row, entry_of, link
from mlops_tasks.governance.tables import ledger

if TYPE_CHECKING:
    from sqlalchemy import Connection


def append_within(connection: "Connection", event: Event) -> Entry:
    """Write an event inside a transaction of `Ledger.writing`; one that is there is given back."""
    if event.once:
        same = ledger().select().where(ledger().c.once == event.once)
        if there := connection.execute(same).first():
            return entry_of(Row(*there))
    seq, prev, before = last(connection)
    at = max(datetime.now(UTC).isoformat(timespec="microseconds"), before)
    row = link(event, seq=seq + 1, at=at, prev=prev)
    connection.execute(ledger().insert(), row._asdict())
    return entry_of(row)


def lies_there(connection: "Connection", entry: Entry) -> bool:
    """Whether a write whose commit was not answered was carried out."""
    columns = ledger().c
    same = ledger().select().where(columns.seq == entry.seq, columns.hash == entry.hash)
    return connection.execute(same).first() is not None


def last(connection: "Connection") -> tuple[int, str, str]:
    """Number, hash and time of the newest entry.

    Raises
    ------
    LedgerError
        If it was changed so that nothing can follow it.
    """
    columns = ledger().c
    newest = ledger().select().with_only_columns(columns.seq, columns.hash, columns.at)
    row = connection.execute(newest.order_by(columns.seq.desc()).limit(1)).first()
    if row and [type(value) for value in row] != [int, str, str]:
        raise LedgerError(
            "the last entry of the ledger was changed: nothing can be written after it",
            where="its number, hash or time",
            next_step="run `mlops audit verify`, and restore the ledger from a backup",
        )
    return (row[0], row[1], row[2]) if row else (0, START, "")

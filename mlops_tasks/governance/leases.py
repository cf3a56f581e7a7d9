"""One process at a time may move a model's aliases; a dead one does not keep the others out.

A lease lies in the ledger's database and ends by itself after `LEASE_SECONDS`, or at once where it
can be seen that its holder is dead: on the same host. Guarantee: while `lease` is held and
`still_held` says so, nobody else holds it. It is not renewed: what is done under it takes
milliseconds.
"""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.governance.tables import leases
from mlops_tasks.patience import patient

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEASE_SECONDS = 60.0
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.05
SPARE_SECONDS = 5.0  # what must be left of a lease before an alias is moved under it


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to move the aliases of `subject`."""

    ledger: Ledger
    subject: str
    holder: str

    @patient
    def still_held(self) -> bool:
        """Whether it is ours, with time to spare."""
        with self.ledger.writing() as connection:
            holder, expires = _current(connection, self.subject)
            return holder == self.holder and expires - _now(connection) > SPARE_SECONDS


@contextlib.contextmanager
def lease(ledger: Ledger, subject: str, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[Lease]:
    """Hold the lease of a subject for the block.

    Raises
    ------
    PromotionRefused
        If somebody else holds it all the time.
    """
    mine = Lease(ledger, subject, f"{_host()}:{os.getpid()}:{uuid.uuid4().hex}")
    give_up = time.monotonic() + wait_seconds
    while holder := _taken_by_other(mine):
        if time.monotonic() > give_up:
            raise PromotionRefused(
                "another promotion of this model is under way",
                where=f"{subject}, held by {holder.rsplit(':', 1)[0]}",
                next_step=f"try again; a lease that nobody gives back ends in {LEASE_SECONDS:g} s",
            )
        time.sleep(POLL_SECONDS)
    try:
        yield mine
    finally:
        _give_back(mine)


@patient
def _taken_by_other(mine: Lease) -> str:
    """Take the lease if it is free; otherwise say who has it."""
    with mine.ledger.writing() as connection:
        holder, expires = _current(connection, mine.subject)
        now = _now(connection)
        if holder not in ("", mine.holder) and expires > now and not _dead(holder):
            return holder
        columns = leases().c
        connection.execute(leases().delete().where(columns.subject == mine.subject))
        taken = {"subject": mine.subject, "holder": mine.holder, "expires": now + LEASE_SECONDS}
        connection.execute(leases().insert(), taken)
        return ""


@cache
def _host() -> str:
    """Where process numbers mean the same: hosts and containers may share a name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8")[:8]
        return f"{socket.gethostname()}/{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def _dead(holder: str) -> bool:
    """Whether the holder was a process of this host that is no more."""
    host, _, rest = holder.partition(":")
    process = rest.partition(":")[0]
    if host != _host() or not process.isdecimal() or os.name != "posix":
        return False  # on Windows signal 0 ends a process
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # somebody else's
    return False


@patient
def _give_back(mine: Lease) -> None:
    with mine.ledger.writing() as connection:
        columns = leases().c
        own = (columns.subject == mine.subject) & (columns.holder == mine.holder)
        connection.execute(leases().delete().where(own))


def _current(connection: "Connection", subject: str) -> tuple[str, float]:
    columns = leases().c
    query = leases().select().with_only_columns(columns.holder, columns.expires)
    row = connection.execute(query.where(columns.subject == subject)).first()
    return (row[0], row[1]) if row else ("", 0.0)


def _now(connection: "Connection") -> float:
    """The database's clock where there is a server, so that hosts need not agree on the time."""
    if connection.dialect.name == "postgresql":
        clock = connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar()
        return float(clock or 0.0)
    return time.time()

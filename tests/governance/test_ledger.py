"""Append-only, without gaps, whoever writes: on SQLite and on a real PostgreSQL."""

import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance import appending
from mlops_tasks.governance.chain import verify
from mlops_tasks.governance.checkpoints import Checkpoint
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.settings.schema import StackSettings

WRITERS, EVENTS = 8, 500
SPAWN = multiprocessing.get_context("spawn")


def event(number: int = 0, **more: str) -> Event:
    return Event("ada", "promotion", "flight-delay", "done", facts={"version": str(number)}, **more)


def is_whole(ledger: Ledger) -> bool:
    length, head, at = ledger.head()
    return verify(ledger.rows(), [Checkpoint(length, head, at)]).true


def test_what_is_appended_is_read_in_order(url: str) -> None:
    ledger = Ledger(url)
    for number in range(5):
        ledger.append(event(number))
    assert [each.seq for each in ledger.entries()] == [1, 2, 3, 4, 5]
    assert [each.event.facts["version"] for each in Ledger(url).entries(newest=True)] == list(
        "43210"
    )
    assert is_whole(ledger)


FORBIDDEN = [
    "UPDATE ledger SET actor = 'eve' WHERE seq = 2",
    "UPDATE ledger SET line = line",
    "DELETE FROM ledger WHERE seq = 3",
    "DELETE FROM ledger",
    "INSERT INTO ledger SELECT seq + 10, at, actor, action, subject, outcome, NULL, hash, line "
    "FROM ledger WHERE seq = 1",
    "INSERT INTO ledger SELECT * FROM ledger WHERE seq = 2 "
    "ON CONFLICT (seq) DO UPDATE SET actor = 'eve'",
    "INSERT INTO ledger SELECT 4, at, 'eve', action, subject, outcome, 'k2', hash, line "
    "FROM ledger WHERE seq = 1 ON CONFLICT (once) DO UPDATE SET actor = excluded.actor",
]
REST = "at, 'eve', action, subject, outcome, {once}, hash, line FROM ledger WHERE seq = 1"
K1, K2 = "'k1'", "'k2'"
NAMED = "(rowid, seq, at, actor, action, subject, outcome, once, hash, line)"
ONLY = {
    "sqlite": [
        f"INSERT OR REPLACE INTO ledger SELECT 2, {REST.format(once='NULL')}",
        "REPLACE INTO ledger SELECT * FROM ledger WHERE seq = 2",
        f"INSERT OR REPLACE INTO ledger SELECT 4, {REST.format(once=K2)}",
        f"REPLACE INTO ledger SELECT 4, {REST.format(once=K1)}",
        f"INSERT OR REPLACE INTO ledger {NAMED} SELECT 2, 4, {REST.format(once='NULL')}",
        f"REPLACE INTO ledger {NAMED} SELECT -1, 4, {REST.format(once='NULL')}",
        "UPDATE OR REPLACE ledger SET once = 'k2' WHERE seq = 1",
        "UPDATE OR REPLACE ledger SET seq = 2 WHERE seq = 1",
        "UPDATE OR REPLACE ledger SET rowid = 2 WHERE seq = 1",
    ],
    "postgresql": [
        "TRUNCATE ledger",
        "TRUNCATE ledger CASCADE",
        "MERGE INTO ledger USING (SELECT 2 AS seq) AS new ON ledger.seq = new.seq "
        "WHEN MATCHED THEN UPDATE SET actor = 'eve'",
        "MERGE INTO ledger USING (SELECT 2 AS seq) AS new ON ledger.seq = new.seq "
        "WHEN MATCHED THEN DELETE",
        "CREATE TEMPORARY TABLE ledger AS SELECT 90::bigint AS seq; INSERT INTO public.ledger "
        "SELECT 91, at, actor, action, subject, outcome, NULL, hash, line "
        "FROM public.ledger WHERE seq = 1",
    ],
}


def test_another_client_cannot_change_it(url: str) -> None:
    ledger = Ledger(url)
    for number in range(1, 4):
        ledger.append(event(number, once=f"k{number}"))
    before = list(ledger.rows())
    other = sqlalchemy.create_engine(url)
    for statement in FORBIDDEN + ONLY[other.dialect.name]:
        with (
            pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"),
            other.begin() as connection,
        ):
            connection.exec_driver_sql(statement)
        assert list(ledger.rows()) == before, statement
    other.dispose()
    ledger.append(event(4, once="k4"))
    assert is_whole(ledger)


@pytest.mark.parametrize("once", [None, "k1"])
def test_a_file_without_the_newer_triggers_gets_them(tmp_path: Path, once: str | None) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(url).append(event(1, once="k1"))
    raw = sqlite3.connect(tmp_path / "ledger.db")
    for trigger in ("ledger_replaces_none", "ledger_has_no_blind_spot"):
        raw.execute(f"DROP TRIGGER {trigger}")
    raw.commit()
    reopened = Ledger(url)
    rowid = 1 if once is None else 7
    with pytest.raises(sqlite3.DatabaseError, match="append-only"):
        raw.execute(
            f"REPLACE INTO ledger {NAMED}"
            " SELECT ?, 2, at, actor, action, subject, outcome, ?, hash, line FROM ledger",
            (rowid, once),
        )
    raw.close()
    assert reopened.head()[0] == 1
    reopened.append(event(2))
    assert is_whole(reopened)


@pytest.mark.parametrize("table", ["ledger", "leases"])
def test_a_dropped_table_comes_back_empty_and_guarded(url: str, table: str) -> None:
    Ledger(url).append(event())
    other = sqlalchemy.create_engine(url)
    with other.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    ledger = Ledger(url)
    ledger.append(event())
    assert ledger.head()[0] == (1 if table == "ledger" else 2)
    with pytest.raises(sqlalchemy.exc.DBAPIError), other.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ledger")
    other.dispose()


def append_same(url: str, name: int) -> None:
    ledger = Ledger(url)
    for number in range(20):
        ledger.append(Event(f"w{name}", "registration", "m", "accepted", once=f"r{number}"))


def test_racing_writers_record_a_keyed_event_once(url: str) -> None:
    writers = [SPAWN.Process(target=append_same, args=(url, name)) for name in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 3
    ledger = Ledger(url)
    assert sorted(each.event.once for each in ledger.entries()) == sorted(
        f"r{number}" for number in range(20)
    )
    assert is_whole(ledger)


@pytest.mark.parametrize(
    "change", ["seq = 'x'", "seq = 1e30", "hash = x'ff'", "at = x'00'", "at = CAST(x'ff' AS TEXT)"]
)
def test_nothing_is_written_after_an_entry_that_is_none(tmp_path: Path, change: str) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append(event())
    raw = sqlite3.connect(tmp_path / "ledger.db")
    raw.execute("DROP TRIGGER ledger_keeps_rows")
    raw.execute(f"UPDATE ledger SET {change}")
    raw.commit()
    raw.close()
    with pytest.raises(LedgerError) as raised:
        ledger.append(event())
    assert raised.value.next_step


def test_an_event_with_a_key_is_recorded_once(url: str) -> None:
    ledger = Ledger(url)
    first = ledger.append(event(1, once="registration:r1"))
    again = ledger.append(event(2, once="registration:r1"))
    assert again == first
    assert ledger.find("registration:r1") == first
    assert ledger.find("registration:r2") is None
    assert ledger.head()[0] == 1


def test_filters(url: str) -> None:
    ledger = Ledger(url)
    for name, action, outcome in (("a", "vote", "yes"), ("b", "vote", "no"), ("a", "move", "done")):
        ledger.append(Event(name, action, "m", outcome))
    assert [e.seq for e in ledger.entries(Wanted(actor="a"))] == [1, 3]
    assert [e.seq for e in ledger.entries(Wanted(action=("vote", "move"), outcome="no"))] == [2]
    middle = ledger.entries()[1].at
    assert [e.seq for e in ledger.entries(Wanted(since=middle))] == [2, 3]
    assert [e.seq for e in ledger.entries(Wanted(until=middle), newest=True, limit=1)] == [2]
    assert ledger.entries(Wanted(subject="other")) == []


def test_time_never_goes_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(url)
    first = ledger.append(event())

    class Yesterday(appending.datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Yesterday":
            return cls.fromisoformat("2001-01-01T00:00:00+00:00")

    monkeypatch.setattr(appending, "datetime", Yesterday)
    assert ledger.append(event()).at == first.at
    assert is_whole(ledger)


def write(url: str, name: int, events: int) -> None:
    ledger = Ledger(url)
    for number in range(events):
        facts = {"version": str(number)}
        ledger.append(Event(f"writer-{name}", "promotion", "m", "done", facts=facts))


@pytest.mark.slow
def test_eight_writers_lose_nothing(url: str) -> None:
    """They also meet an empty database at once."""
    writers = [SPAWN.Process(target=write, args=(url, name, EVENTS)) for name in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    ledger = Ledger(url)
    entries = ledger.entries()
    assert [each.seq for each in entries] == list(range(1, WRITERS * EVENTS + 1))
    for name in range(WRITERS):
        own = [
            each.event.facts["version"] for each in entries if each.event.actor == f"writer-{name}"
        ]
        assert own == [str(number) for number in range(EVENTS)]
    assert is_whole(ledger)


def test_a_killed_writer_leaves_a_whole_ledger(url: str) -> None:
    Ledger(url).append(event())
    writer = SPAWN.Process(target=write, args=(url, 1, 100_000))
    writer.start()
    ledger = Ledger(url)
    give_up = time.monotonic() + 60
    while ledger.head()[0] < 50 and time.monotonic() < give_up:
        time.sleep(0.01)
    assert writer.pid
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert ledger.head()[0] >= 50
    ledger.append(event())
    assert is_whole(ledger)


def test_an_event_that_is_refused_leaves_nothing(url: str) -> None:
    ledger = Ledger(url)
    with pytest.raises(LedgerError):
        ledger.append(event(reason="x" * 10_000))
    assert ledger.head()[0] == 0
    ledger.append(event())
    assert is_whole(ledger)


UNUSABLE = [
    "sqlite:///{folder}/file/ledger.db",
    "sqlite:///{folder}/file",
    "postgresql://ada:canary@127.0.0.1:1/none",
    "postgresql://ada:can/canary@127.0.0.1:1/none",
    "postgresql://ada:x@canary@127.0.0.1:1/none",
    "postgresql://ada:a%20canary@127.0.0.1:port/none",
    "postgresql://ada:canary@127.0.0.1:99999999999999999999/none",
    "postgresql://ada@127.0.0.1:1/none?password=canary",
    "postgresql://ada@127.0.0.1:1/none?sslmode=never&pass%77ord=canary",
    "postgresql://ada@127.0.0.1:1/none?nonsense=1&sslpassword=canary",
    "postgresql:ada:canary@127.0.0.1",
    "nonsense",
    "mysql://ada:canary@127.0.0.1/none",
    "none://ada:canary@127.0.0.1/none",
]


@pytest.mark.parametrize("address", UNUSABLE)
def test_an_address_that_cannot_be_used_is_said_without_its_password(
    tmp_path: Path, address: str
) -> None:
    (tmp_path / "file").write_text("no database, but long enough to be taken for one" * 20)
    with pytest.raises(LedgerError) as raised:
        Ledger(address.format(folder=tmp_path))
    assert "canary" not in str(raised.value)
    assert raised.value.where
    assert raised.value.next_step


def test_a_password_in_the_address_is_refused() -> None:
    from mlops_tasks.governance.record import ledger_of

    stack = StackSettings.model_construct(ledger="postgresql://ada:canary@db/ledger")
    with pytest.raises(LedgerError, match="must not carry a password") as raised:
        ledger_of(stack)
    assert "canary" not in str(raised.value)

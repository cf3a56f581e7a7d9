"""A PostgreSQL that dies under a writer: what was written is not written twice."""

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import OperationalError

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance import ledger as ledger_module
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.patience import SECONDS, may_pass

EVENT = Event("ada", "promotion", "flight-delay", "intent")
Losing = Callable[[int, bool], list[str]]


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Losing:
    """From a commit on the server is gone, before it was carried out or after; once."""
    end = ledger_module._end

    def lose(number: int, done: bool) -> list[str]:
        commits: list[str] = []

        def ended(connection: Any, word: str) -> None:
            commits.append(word)
            lost = commits.count("COMMIT") == number and word == "COMMIT"
            end(connection, "ROLLBACK" if lost and not done else word)
            if lost:
                error = psycopg.OperationalError("server closed the connection unexpectedly")
                raise OperationalError("COMMIT", {}, error) from error

        monkeypatch.setattr(ledger_module, "_end", ended)
        return commits

    return lose


@pytest.mark.parametrize("done", [True, False])
def test_an_event_without_a_key_is_written_once(url: str, losing: Losing, done: bool) -> None:
    ledger = Ledger(url)
    ledger.append(EVENT)
    losing(1, done)
    entry = ledger.append(EVENT)
    assert ledger.entries()[1:] == [entry]


@pytest.mark.parametrize("done", [True, False])
def test_a_lease_is_taken_and_not_waited_for(url: str, losing: Losing, done: bool) -> None:
    ledger = Ledger(url)
    commits = losing(1, done)
    with lease(ledger, "model", wait_seconds=0) as held:
        assert held.still_held()
    assert commits.count("COMMIT") > 2
    with lease(ledger, "model", wait_seconds=0):
        pass


def test_patience_ends(url: str, losing: Losing, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(url)
    losing(1, False)
    monkeypatch.setenv(SECONDS, "0")
    with pytest.raises(LedgerError, match="closed the connection"):
        ledger.append(EVENT)
    assert ledger.entries() == []


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection refused"),
        errors.AdminShutdown(),
        errors.CrashShutdown(),
        errors.CannotConnectNow(),
        errors.ConnectionFailure(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_is_away_comes_back(error: psycopg.Error) -> None:
    outer = OperationalError("SELECT 1", {}, error)
    outer.__cause__ = error
    assert may_pass(outer)


@pytest.mark.parametrize(
    "error",
    [
        errors.DiskFull(),
        errors.InvalidPassword(),
        errors.UndefinedTable(),
        sqlite3.OperationalError("no such table"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_else_a_database_says_stays(error: Exception) -> None:
    outer = OperationalError("SELECT 1", {}, error)
    outer.__cause__ = error
    assert not may_pass(outer)

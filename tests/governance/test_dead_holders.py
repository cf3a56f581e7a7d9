"""Who holds a lease and is dead keeps nobody out, where that can be seen."""

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance import leases
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.ledger import Ledger
from tests.forks import answer, start, warmly

GONE = 2**22 + 1  # no process has this number: above the kernel's largest


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    assert warmly(taken_over, str(tmp_path)) < 5


def test_a_dead_looking_holder_on_another_host_keeps_it_until_its_hour(ledger: Ledger) -> None:
    _held_by(ledger, f"another-host:{GONE}:x", seconds=60)

    with pytest.raises(PromotionRefused), lease(ledger, "m", wait_seconds=0.1):
        pass


@pytest.mark.parametrize("holder", ["x", "another-host:1:x", "{host}:{pid}:x", "{host}:pid:x"])
def test_a_lease_ends_with_its_hour_whoever_holds_it(ledger: Ledger, holder: str) -> None:
    _held_by(ledger, holder.format(host=socket.gethostname(), pid=os.getpid()), seconds=-0.1)

    with lease(ledger, "m", wait_seconds=0) as held:
        assert held.still_held()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def taken_over(folder: str) -> float:
    """How long the next waits after a holder was killed."""
    url = f"sqlite:///{folder}/ledger.db"

    def hold() -> None:
        with lease(Ledger(url), "m"):
            os.kill(os.getpid(), signal.SIGKILL)

    def take() -> Any:
        began = time.monotonic()
        with lease(Ledger(url), "m", wait_seconds=30):
            return time.monotonic() - began

    child, reading = start(hold)
    os.waitpid(child, 0)
    os.close(reading)
    return float(answer(start(take)))


def _held_by(ledger: Ledger, holder: str, *, seconds: float) -> None:
    with ledger.writing() as connection:
        table = leases.leases()
        connection.execute(table.delete().where(table.c.subject == "m"))
        row = {"subject": "m", "holder": holder, "expires": time.time() + seconds}
        connection.execute(table.insert(), row)

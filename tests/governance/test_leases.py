"""One holder at a time, and none for ever."""

import multiprocessing
import time
from pathlib import Path

import pytest

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance import leases
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.ledger import Ledger

SPAWN = multiprocessing.get_context("spawn")
TURNS = 20


def count(url: str, file: Path) -> None:
    """Read, wait, write: without mutual exclusion counts are lost."""
    ledger = Ledger(url)
    for _ in range(TURNS):
        with lease(ledger, "model") as held:
            number = int(file.read_text())
            time.sleep(0.001)
            file.write_text(str(number + 1))
            assert held.still_held()


@pytest.mark.slow
def test_holders_exclude_each_other(url: str, tmp_path: Path) -> None:
    file = tmp_path / "count"
    file.write_text("0")
    holders = [SPAWN.Process(target=count, args=(url, file)) for _ in range(4)]
    for holder in holders:
        holder.start()
    for holder in holders:
        holder.join(120)
    assert [holder.exitcode for holder in holders] == [0] * 4
    assert file.read_text() == str(4 * TURNS)


def test_who_waits_too_long_is_told_who_holds_it(url: str) -> None:
    ledger = Ledger(url)
    with (
        lease(ledger, "model"),
        pytest.raises(PromotionRefused, match="another promotion"),
        lease(ledger, "model", wait_seconds=0.1),
    ):
        pass
    with lease(ledger, "model", wait_seconds=0.1) as held:
        assert held.still_held()


def test_models_do_not_wait_for_each_other(url: str) -> None:
    ledger = Ledger(url)
    with lease(ledger, "one"), lease(ledger, "other", wait_seconds=0.1) as held:
        assert held.still_held()


def test_a_lease_ends_by_itself(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(leases, "SPARE_SECONDS", 0.0)
    ledger = Ledger(url)
    with lease(ledger, "model") as first:
        assert first.still_held()
        with lease(ledger, "model", wait_seconds=5) as second:
            assert second.still_held()
            assert not first.still_held()

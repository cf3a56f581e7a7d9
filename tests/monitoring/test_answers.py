"""One run answers an alarm, whoever asks, how often, and from however many processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.governance.record import ACTOR, actor
from mlops_tasks.monitoring.answers import CALL, claim, is_answered
from mlops_tasks.testing.crash import run_crashing
from tests.forks import FORKS

ALARM = "a" * 64
RUNS = [f"run {number}" for number in range(6)]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv(ACTOR, "worker@x.org")
    actor.cache_clear()
    yield f"sqlite:///{tmp_path}/ledger.db"
    actor.cache_clear()


def asks(url: str, run: str, *crashed: str, alarm: str = ALARM) -> str:
    return claim(Ledger(url), "demo", alarm, run, crashed.__contains__)


def begun(url: str) -> list[str]:
    return [each.event.facts["run"] for each in Ledger(url).entries() if each.event.action == CALL]


def test_the_first_has_it_and_keeps_it(url: str) -> None:
    assert not is_answered(Ledger(url), ALARM)
    assert [asks(url, run) for run in ("b", "a", "b", "a")] == ["b"] * 4
    assert is_answered(Ledger(url), ALARM)
    assert begun(url) == ["b"]
    assert asks(url, "a", alarm="c" * 64) == "a", "another alarm"


def test_one_that_crashed_for_good_gives_way_and_has_it_no_more(url: str) -> None:
    asks(url, "a")
    assert asks(url, "a", "a") == "a", "it begins again: that it had crashed is the past"
    assert asks(url, "b", "a") == "b"
    assert asks(url, "a") == "b", "begun again after all, it has nothing to do"
    assert asks(url, "c", "a") == "b"
    assert asks(url, "a", "b") == "a"
    assert begun(url) == ["a", "b", "a"]


def test_of_many_processes_one_has_it(url: str) -> None:
    Ledger(url)
    with FORKS.Pool(len(RUNS)) as pool:
        found = pool.starmap(asks, [(url, run) for run in RUNS])
        again = pool.starmap(asks, [(url, run, found[0]) for run in RUNS])
    assert len(set(found)) == 1
    assert begun(url)[0] == found[0]
    others = [holder for run, holder in zip(RUNS, again, strict=True) if run != found[0]]
    assert len(set(others)) == 1, "the alarm of one that crashed goes to one other"
    assert len(begun(url)) == 2


def test_killed_after_it_is_on_record_it_still_has_it(url: str) -> None:
    assert run_crashing(lambda: asks(url, "a"), "answer recorded")
    assert asks(url, "b") == "a"
    assert asks(url, "a") == "a"
    assert begun(url) == ["a"]

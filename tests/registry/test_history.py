"""Who was champion when, against a slow look at every event; and what MLflow says now."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_tasks.errors import PromotionRefused
from mlops_tasks.governance.events import START, Entry, Event, link
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.governance.tables import ledger as table
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.history import champion_at, reigns, standing_champion
from mlops_tasks.registry.models import CHAMPION
from tests.registry.life import PROJECT, Life

EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(("ada", "bob")),
        st.sampled_from(("promotion", "promotion", "rollback", "registration")),
        st.sampled_from(("demo", "demo", "demo.prod", "dem")),
        st.sampled_from(("done", "done", "intent", "undone", "conflict", "refused")),
        st.sampled_from(("", "because")),
        st.fixed_dictionaries({}, optional={"candidate": st.sampled_from(("c1", "c2"))}),
        st.builds(
            lambda version, who: {"version": str(version), "approved_by": ", ".join(who)},
            st.integers(1, 5),
            st.lists(st.sampled_from(("ada", "bob")), unique=True),
        ),
    ),
    max_size=12,
)
BEFORE, AFTER = "2000-01-01", "2100-01-01"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty ledger, to copy: making the tables is slow."""
    folder = tmp_path_factory.mktemp("ledgers")
    Ledger(f"sqlite:///{folder}/empty.db").close()
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS)
def test_history_is_what_a_slow_look_at_every_event_says(empty: Path, events: list[Event]) -> None:
    ledger = _of(empty, events)
    entries = ledger.entries()
    # Every event's own time, the gaps between them, and long before and after.
    times = [BEFORE, *(each.at for each in entries), *(f"{each.at}~" for each in entries), AFTER]

    for model in ("demo", "demo.prod", "nobody"):
        past = reigns(ledger, model)
        assert [(each.version, each.since, each.until) for each in past] == _slow(entries, model)
        for at in times:
            found = champion_at(ledger, model, at)
            assert found == ([None, *(each for each in past if each.since <= at)])[-1]
        for one, two in itertools.pairwise(past):
            assert one.until == two.since
    ledger.close()


def _of(folder: Path, events: list[Event]) -> Ledger:
    for name in ("now.db", "now.db-wal", "now.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(folder / "empty.db", folder / "now.db")
    ledger = Ledger(f"sqlite:///{folder}/now.db")
    for event in events:
        ledger.append(event)
    return ledger


def _slow(entries: list[Entry], model: str) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    for entry in entries:
        event = entry.event
        moved = event.action in ("promotion", "rollback") and event.outcome == "done"
        if not moved or event.subject != model:
            continue
        if found:
            version, since, _ = found[-1]
            found[-1] = (version, since, entry.at)
        found.append((int(event.facts["version"]), entry.at, ""))
    return found


def test_a_reign_says_who_and_why(empty: Path) -> None:
    facts = {"version": "2", "approved_by": "ada, bob"}
    ledger = _of(empty, [Event("cyd", "promotion", "m", "done", "why", {"candidate": "c"}, facts)])

    (reign,) = reigns(ledger, "m")

    assert (reign.actor, reign.reason, reign.candidate) == ("cyd", "why", "c")
    assert reign.approved_by == ("ada", "bob")
    assert champion_at(ledger, "m", reign.since) == reign


def test_two_moves_at_the_same_time_are_told_in_order(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger's clock may stand still; its numbers do not."""
    ledger = _of(empty, [])
    monkeypatch.setattr("mlops_tasks.governance.appending.datetime", _Stopped)
    for version in ("1", "2", "3"):
        ledger.append(Event("a", "promotion", "m", "done", facts={"version": version}))

    found = champion_at(ledger, "m", _Stopped.AT)

    assert found is not None
    assert (found.version, found.until) == (3, "")
    assert found == reigns(ledger, "m")[-1]


class _Stopped:
    AT = "2026-01-01T00:00:00.000000+00:00"

    @classmethod
    def now(cls, zone: object) -> "_Stopped":
        return cls()

    def isoformat(self, timespec: str) -> str:
        return self.AT


def test_a_long_history_is_no_more_work_to_ask_than_a_short_one(tmp_path: Path) -> None:
    """Counted in SQLite's own steps, for one model that everybody is always promoting."""
    short, long = (_steps(tmp_path / f"{entries}.db", entries) for entries in (40, 4000))

    assert 0 < long < 2 * short


def _steps(file: Path, entries: int) -> int:
    ledger, prev = Ledger(f"sqlite:///{file}"), START
    with ledger.writing() as connection:
        for seq in range(1, entries + 1):
            kind = "rollback" if seq % 10 == 0 else "promotion"
            event = Event("a", kind, "m", "done", facts={"version": str(seq)})
            row = link(event, seq=seq, at=f"2026-01-01T00:00:00.{seq:06d}", prev=prev)
            connection.execute(table().insert(), row._asdict())
            prev = row.hash
        driver: Any = connection.connection.driver_connection
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    driver.set_progress_handler(count, 1)
    found = champion_at(ledger, "m", f"2026-01-01T00:00:00.{entries // 2:06d}")
    assert found is not None
    assert (found.version, found.until[-6:]) == (entries // 2, f"{entries // 2 + 1:06d}")
    return taken


@pytest.mark.slow
def test_an_alias_moved_by_hand_is_seen_and_not_built_upon(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.people()
    for leaf in (40, 20):
        life.train(leaf)
    stack = life.settings().stack
    ledger = ledger_of(stack)
    assert standing_champion(stack, PROJECT) == reigns(ledger, PROJECT)[-1].version == 2
    third = life.register(life.evidence(10)).version

    connect(stack).set_registered_model_alias(PROJECT, CHAMPION, "1")

    assert standing_champion(stack, PROJECT) == 1
    assert reigns(ledger, PROJECT)[-1].version == 2
    # The third was held against version 2, and that is not there any more.
    with pytest.raises(PromotionRefused):
        life.promote(version=third)
    assert standing_champion(stack, PROJECT) == 1
    assert ledger.entries(Wanted(action=("promotion",), outcome="refused"))

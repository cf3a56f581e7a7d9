"""The ledger remembers the windows: one verdict each, one alarm, one call, also after a crash."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from mlops_tasks.artifacts import Candidate, Champion, Code, Columns, Dataset
from mlops_tasks.boundaries import WATCHING
from mlops_tasks.drift.verdict import DriftReport, Verdict
from mlops_tasks.errors import PlatformError
from mlops_tasks.governance.events import Entry
from mlops_tasks.governance.record import ACTOR, actor, audit, ledger_of
from mlops_tasks.monitoring.answers import claim
from mlops_tasks.monitoring.memory import Alarm, decide, training_overrides
from mlops_tasks.monitoring.window import Window
from mlops_tasks.platform import retraining
from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.platform.retraining import EVENT, call_for_training
from mlops_tasks.settings import Settings
from mlops_tasks.testing.crash import run_crashing
from tests.registry.life import PROJECT, Life

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
ROWS = Dataset("nowhere", "d" * 64, 10, ("x",), ("local",))
CHAMPION = Champion(
    1,
    "run",
    Candidate(
        "nowhere",
        "c" * 64,
        "tree",
        {},
        1,
        ROWS,
        Columns(("id",), "y", ("x",), ()),
        Code("a:B", ""),
        1,
    ),
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv(ACTOR, "monitor@x.org")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    actor.cache_clear()
    yield Life(tmp_path).settings()
    actor.cache_clear()


def window(number: int) -> Window:
    return Window(START + timedelta(hours=number), START + timedelta(hours=number + 1))


def judged(
    settings: Settings, number: int, verdict: Verdict, *, reference: str = "r", version: int = 1
) -> Alarm:
    found = DriftReport(window(number).name, reference, 500, (), 0.5, verdict, ("because",))
    champion = replace(CHAMPION, version=version)
    return decide(settings, champion, window(number), found, (), ["seed=1"])


def in_days(days: int) -> type[datetime]:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=days)

    return Later


def events(settings: Settings) -> list[tuple[str, str]]:
    found = ledger_of(settings.stack).entries()
    return [(each.event.action, each.event.outcome) for each in found]


def test_it_rings_at_the_second_drifted_window_and_once(settings: Settings) -> None:
    assert not judged(settings, 0, "no drift").rang
    assert not judged(settings, 1, "drift").rang
    rung = judged(settings, 2, "drift")
    assert rung.retrain
    assert rung.overrides == ("seed=1",)
    held = judged(settings, 3, "drift")
    assert (held.rang, held.retrain, held.overrides) == (True, False, ())
    assert any("cool-down" in each for each in held.reasons)
    outcomes = [outcome for action, outcome in events(settings) if action == "alarm"]
    assert outcomes == ["retraining", "held back"]


def test_judging_again_changes_nothing(settings: Settings) -> None:
    first = [judged(settings, number, "drift") for number in range(3)]
    before = events(settings)
    again = [judged(settings, number, "drift") for number in (2, 2)]
    assert [each.retrain for each in again] == [first[2].retrain] * 2
    assert events(settings) == before
    changed = judged(settings, 2, "no drift")
    assert changed.verdict == "drift", "a window has the verdict that it got first"


def test_an_older_window_that_rang_is_told_as_it_was(settings: Settings) -> None:
    """Judged again, for labels have come: the alarm stands, and those after it do not change."""
    judged(settings, 0, "drift")
    rung = judged(settings, 1, "drift")
    held = judged(settings, 2, "drift")
    before = events(settings)
    assert judged(settings, 1, "drift") == rung
    assert judged(settings, 2, "drift") == held
    assert events(settings) == before


def test_windows_count_in_the_order_of_time(settings: Settings) -> None:
    """A window that was left out and is judged later stands where it belongs."""
    judged(settings, 0, "drift")
    judged(settings, 3, "no drift")
    assert not judged(settings, 1, "drift").rang, "it is the past"
    assert not judged(settings, 2, "no drift").rang
    assert not judged(settings, 4, "drift").rang, "1 of the last 3, not 2 of the last judged"
    assert judged(settings, 5, "drift").rang


def test_another_reference_begins_anew(settings: Settings) -> None:
    judged(settings, 0, "drift", reference="old")
    assert not judged(settings, 1, "drift", reference="new", version=2).rang
    assert judged(settings, 2, "drift", reference="new", version=2).rang


def test_what_was_started_is_what_the_record_says(settings: Settings) -> None:
    """Rules that are changed later do not change the past."""
    lax = settings.monitoring.trigger.model_copy(update={"drifted_windows": 1, "of_windows": 1})
    loose = settings.model_copy(
        update={"monitoring": settings.monitoring.model_copy(update={"trigger": lax})}
    )
    assert judged(loose, 0, "drift").retrain
    judged(settings, 1, "drift")
    held = judged(settings, 2, "drift")
    assert held.rang
    assert not held.retrain, "the cool-down of the training that window 0 started"


@pytest.mark.parametrize("place", WATCHING[:2])
def test_killed_after_a_write_the_same_follows(settings: Settings, place: str) -> None:
    judged(settings, 0, "drift")
    assert run_crashing(lambda: judged(settings, 1, "drift"), place)
    assert judged(settings, 1, "drift").retrain
    assert events(settings).count(("alarm", "retraining")) == 1
    assert events(settings).count(("drift", "drift")) == 2
    assert audit(settings.stack).true


def test_without_a_server_the_alarm_waits(settings: Settings) -> None:
    for number in range(2):
        judged(settings, number, "drift")
    [said] = call_for_training(settings)
    assert "mlops train seed=1" in said
    assert ("retraining", "called") not in events(settings)


def test_of_alarms_that_nobody_heard_the_newest_is_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = settings.monitoring.trigger.model_copy(update={"cool_down_hours": 0, "budget": 9})
    often = settings.monitoring.model_copy(update={"trigger": rules})
    settings = settings.model_copy(update={"monitoring": often})
    for number in range(4):
        judged(settings, number, "drift")
    assert len(call_for_training(settings)) == 1
    sent: list[str] = []

    def send(settings: Settings, alarm: Entry) -> None:
        sent.append(alarm.event.facts["window"])

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(PlatformError, match="does not take the alarm"):
        call_for_training(settings)
    monkeypatch.setattr(retraining, "_send", send)
    monkeypatch.setattr(retraining, "datetime", in_days(31))
    assert call_for_training(settings) == (), "the past"
    monkeypatch.setattr(retraining, "datetime", in_days(29))
    assert len(call_for_training(settings)) == 1
    assert sent == [window(3).name]
    assert events(settings).count(("retraining", "superseded")) == 2
    assert call_for_training(settings) == ()


def test_what_a_run_answers_is_not_sent_again(settings: Settings) -> None:
    """Killed after it was sent and before that was recorded, hours before the next monitor."""
    for number in range(2):
        alarm = judged(settings, number, "drift")
    assert len(call_for_training(settings)) == 1, "without a server, it would be"
    claim(ledger_of(settings.stack), settings.registered_model, alarm.entry, "x", lambda _: True)
    assert call_for_training(settings) == ()


def test_a_training_looks_at_the_days_before_the_alarm(settings: Settings) -> None:
    assert training_overrides(settings, window(0)) == []
    data = settings.data.model_copy(update={"time": "t"})
    days = settings.monitoring.model_copy(update={"retrain_days": 30.0})
    timed = settings.model_copy(update={"data": data, "monitoring": days})
    end = window(0).end
    assert training_overrides(timed, window(0)) == [
        f"data.window.start='{end - timedelta(days=30):%Y-%m-%dT%H:%M:%S}'",
        f"data.window.end='{end:%Y-%m-%dT%H:%M:%S}'",
    ]


@pytest.mark.slow
def test_an_alarm_is_one_event_however_often_it_is_sent(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    for number in range(2):
        judged(settings, number, "drift")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(PlatformError, match="does not take the alarm"):
        call_for_training(settings)
    with prefect_server(tmp_path / "prefect") as url:
        monkeypatch.setenv("PREFECT_API_URL", url)
        assert run_crashing(lambda: call_for_training(settings), "training called")
        assert len(call_for_training(settings)) == 1, "sent, but not known to have been sent"
        assert call_for_training(settings) == ()
        wanted = {"event": {"name": [EVENT]}}
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:

            def seen() -> list[dict[str, object]]:
                answer = client.request("POST", "/events/filter", json={"filter": wanted})
                return list(answer.json()["events"])

            end = time.monotonic() + 60
            while not seen():
                assert time.monotonic() < end
                time.sleep(0.2)
            time.sleep(2)
            [one] = seen()
    assert one["payload"]["overrides"] == ["seed=1"]
    assert one["resource"]["prefect.resource.id"] == f"mlops.model.{PROJECT}"
    assert events(settings).count(("retraining", "called")) == 1

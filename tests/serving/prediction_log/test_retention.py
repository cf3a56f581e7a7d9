"""Old days go, and only they; what went is on record, once, whenever the run was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_tasks.artifacts import Candidate, Champion, Code, Columns, Dataset
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import audit, ledger_of
from mlops_tasks.monitoring.traffic import gather
from mlops_tasks.monitoring.window import Window
from mlops_tasks.serving.prediction_log import retention
from mlops_tasks.serving.prediction_log.labels import add_labels, read_labels
from mlops_tasks.serving.prediction_log.places import LABELS, place_of
from mlops_tasks.serving.prediction_log.retention import Retired, retire
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import MODEL, NOON, answered, everything, ids, settings_in
from tests.serving.prediction_log.servers import FORKS

DAYS = 6


def filled(settings: Settings) -> None:
    """Two rows a day, from 1 March 2026 on, and a label that arrived on the first two days."""
    log = open_log(settings)
    for day in range(DAYS):
        log.append(answered(str(day), time=NOON + timedelta(days=day), rows=[(1.0, "a")] * 2))
    log.close()
    place = place_of(settings.stack, MODEL)
    for day in range(2):
        add_labels(settings, MODEL, pl.DataFrame({"request_id": [str(day)], "label": [1]}))
        today = place.days(LABELS)[-1]
        (file,) = place.files(today, LABELS)
        old = place.day(NOON.date() + timedelta(days=day), LABELS)
        old.mkdir(parents=True)
        os.rename(file.path, (old / file.name).path)
        os.rmdir(file.parent.path)


def on_record(settings: Settings) -> list[Event]:
    wanted = Wanted(action=(retention.ACTION,), subject=MODEL)
    return [entry.event for entry in ledger_of(settings.stack).entries(wanted)]


def test_what_a_killed_process_has_not_finished_goes_with_its_day(
    settings: Callable[..., Settings],
) -> None:
    here = settings(retention_days=2)
    filled(here)
    day = Path(here.stack.predictions) / MODEL / "day=2026-03-01"
    killed = """
import os, sys
from upath import UPath
from mlops_tasks.serving.prediction_log.places import publish
os.replace = lambda *words: os.kill(os.getpid(), 9)
publish(UPath(sys.argv[1]), b"features")
"""
    subprocess.run([sys.executable, "-c", killed, str(day / "x.parquet")], check=False)
    assert [path for path in day.iterdir() if path.read_bytes() == b"features"]
    retire(here, NOON + timedelta(days=4))
    assert not day.exists()


def test_whole_days_go_and_it_is_on_record(settings: Callable[..., Settings]) -> None:
    here = settings(retention_days=2)
    filled(here)
    folder = Path(here.stack.predictions) / MODEL
    alien = [folder / "notes.txt", folder / "day=2026-03-01" / "mine.parquet", folder / "day=x"]
    for path in alien:
        path.write_text("somebody else's")
    now = NOON + timedelta(days=4, hours=11)
    assert retire(here, now) == Retired(days=2, rows=4, labels=2, files=4)
    assert sorted(set(ids(here))) == ["2", "3", "4", "5"]
    assert read_labels(here, MODEL).is_empty()
    assert all(path.read_text() == "somebody else's" for path in alien)
    assert not (folder / "day=2026-03-02").exists()
    facts = {"before": "2026-03-03", "days": "2", "rows": "4", "labels": "2", "files": "4"}
    assert [(e.outcome, e.facts) for e in on_record(here)] == [("intent", facts), ("done", facts)]
    assert "retention_days is 2" in on_record(here)[0].reason
    assert audit(here.stack).true
    assert retire(here, now) == Retired()
    assert len(on_record(here)) == 2, "nothing went: nothing to tell"


@pytest.mark.parametrize(("hours", "left"), [(60, DAYS), (71, DAYS), (72, 5), (95, 5), (96, 4)])
def test_a_day_goes_when_its_end_is_old_enough(
    settings: Callable[..., Settings], hours: int, left: int
) -> None:
    here = settings(retention_days=2.5)
    filled(here)
    retire(here, NOON + timedelta(hours=hours))
    assert len(set(ids(here))) == left


def test_what_a_monitor_copied_goes_with_its_day(settings: Callable[..., Settings]) -> None:
    here = settings(retention_days=2)
    filled(here)
    rows = Dataset("", "t", 1, ("x",), ("eu",))
    columns, made = Columns((), "late", ("x",), ("airport",)), Code("p:M", "c")
    champion = Champion(1, "run", Candidate("", "d", "tree", {}, 1, rows, columns, made, 1))
    start = NOON.replace(hour=0)
    windows = [Window(start + timedelta(days=n), start + timedelta(days=n + 1)) for n in range(3)]
    copies = [gather(here, champion, window) for window in windows]
    assert [each.rows for each in copies] == [2, 2, 2]
    half = Path(copies[0].uri).parents[1] / "incoming" / "tmpkilled.parquet"
    half.write_bytes(b"features")

    gone = retire(here, NOON + timedelta(days=4))
    assert gone == Retired(days=2, rows=4, labels=2, files=7)
    assert not half.exists()
    assert len(list(Path(copies[2].uri).parents[2].iterdir())) == 1, "an empty day is left"
    kept = list(Path(here.stack.store).parent.rglob("*.parquet"))
    assert copies[2].uri in map(str, kept)
    for path in kept:
        assert not {"0", "1"} & set(pl.read_parquet(path)["request_id"])


def test_without_a_policy_nothing_goes(settings: Callable[..., Settings]) -> None:
    here = settings()
    filled(here)
    assert retire(here, NOON + timedelta(days=9999)) == Retired()
    assert len(set(ids(here))) == DAYS
    assert on_record(here) == []


def test_journals_of_old_days_go_as_well(settings: Callable[..., Settings]) -> None:
    here = settings(retention_days=1)
    log = open_log(here)
    log.append(answered("old"))
    segment = log._open.popitem()[1]  # its process died, and the line after it is no record
    with segment.path.open("ab") as stream:
        stream.write(b'{"no": "record"}\n')
    segment._lock.release()
    assert retire(here, NOON + timedelta(days=10)) == Retired(days=1, rows=1, labels=0, files=2)
    log.close()
    assert everything(here).is_empty()
    left = [path for path in Path(here.stack.predictions).rglob("*") if path.is_file()]
    assert [path.suffix for path in left] == [".lock"]


def dying(folder: Path, days: float, files: int) -> None:
    real, done = retention.unlink, []

    def unlink(path: object) -> None:
        if len(done) == files:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(path)
        real(path)

    retention.unlink = unlink
    retire(settings_in(folder, retention_days=days), NOON + timedelta(days=6))


def killed_after(files: int, folder: Path, days: float) -> None:
    """Run it in a process that dies when it has deleted so many files."""
    process = FORKS.Process(target=dying, args=(folder, days, files))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("files", [0, 1, 3])
def test_a_killed_run_is_finished_and_counted_once(
    settings: Callable[..., Settings], tmp_path: Path, files: int
) -> None:
    here = settings(retention_days=2)
    filled(here)
    killed_after(files, tmp_path, 2)
    assert len(set(ids(here))) == DAYS - files
    whole = Retired(days=4, rows=8, labels=2, files=6)
    assert retire(here, NOON + timedelta(days=6)) == whole
    assert sorted(set(ids(here))) == ["4", "5"]
    assert [event.outcome for event in on_record(here)] == ["intent", "done"]
    assert {event.facts["rows"] for event in on_record(here)} == {"8"}
    assert retire(here, NOON + timedelta(days=7)) == Retired(days=1, rows=2, labels=0, files=1)


def test_a_policy_that_keeps_more_by_now_ends_a_killed_run(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    filled(settings(retention_days=2))
    killed_after(1, tmp_path, 2)
    here = settings(retention_days=4)
    assert retire(here, NOON + timedelta(days=6)) == Retired(days=1, rows=2, labels=2, files=3)
    assert [event.outcome for event in on_record(here)] == ["intent", "abandoned", "intent", "done"]
    assert sorted(set(ids(here))) == ["2", "3", "4", "5"]
    assert place_of(here.stack, MODEL).days()[0] == date(2026, 3, 3)

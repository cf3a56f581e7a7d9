"""Days of the log that are older than the policy allows go, with all that was copied; on record.

Guarantees, each held by a test: what goes is in the ledger before it goes, and that it is gone
after; a run that was killed is finished by the next, and counted once; a day goes as a whole or
not yet; only files that the log wrote go, whatever else lies beside them, and also those that a
killed process has not finished.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlops_tasks.errors import StorageError
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import actor, ledger_of, record, witness
from mlops_tasks.serving.prediction_log.journal import day_of
from mlops_tasks.serving.prediction_log.places import COPIES, LABELS, Place, place_of
from mlops_tasks.serving.prediction_log.sealing import DAMAGED, seal
from mlops_tasks.settings.schema import Settings
from mlops_tasks.storage.places import is_local
from mlops_tasks.storage.transfer import entries, read
from mlops_tasks.storage.whole_files import SCRATCH

if TYPE_CHECKING:
    from upath import UPath

ACTION = "retention"


@dataclass(frozen=True, slots=True)
class Retired:
    """What went: days that had predictions, their rows, rows of labels, files."""

    days: int = 0
    rows: int = 0
    labels: int = 0
    files: int = 0

    def __add__(self, other: "Retired") -> "Retired":
        return Retired(
            self.days + other.days,
            self.rows + other.rows,
            self.labels + other.labels,
            self.files + other.files,
        )


def retire(settings: Settings, now: datetime | None = None) -> Retired:
    """Delete the days of the served model's log that ended `retention_days` ago or earlier.

    Predictions go by their time, labels by that of their arrival, which is later; what a monitor
    copied of a window goes with the day on which the window begins.

    Parameters
    ----------
    settings
        Name the model, the log and the policy; without `retention_days` nothing goes.
    now
        A moment with a zone.

    Raises
    ------
    StorageError
        If a file cannot be deleted; run it again.
    LedgerError
        If it cannot be put on record; then nothing more is deleted.
    """
    from filelock import FileLock

    days = settings.serving.log.retention_days
    if days is None:
        return Retired()
    model = settings.registered_model
    before = ((now or datetime.now(UTC)).astimezone(UTC) - timedelta(days=days)).date()
    place = place_of(settings.stack, model)
    try:
        place.journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(place.journal / "retention.lock"):
            seal(place)
            gone = _finish(settings, place, before) + _begin(settings, place, before)
            if gone != Retired():
                witness(settings.stack)
            return gone
    except OSError as error:
        raise StorageError(
            f"a day of the prediction log cannot be deleted: {error.strerror or error}",
            where=str(place.folder),
            next_step="check that you may write there, and run `mlops log retire` again",
        ) from error


def _begin(settings: Settings, place: Place, before: date) -> Retired:
    going = _counted(place, before)
    if not going.files:
        return going
    facts = {
        "before": before.isoformat(),
        "days": str(going.days),
        "rows": str(going.rows),
        "labels": str(going.labels),
        "files": str(going.files),
    }
    intent = record(settings.stack, _event(settings, "intent", facts))
    _delete(place, before)
    record(settings.stack, _event(settings, "done", facts, intent))
    return going


def _finish(settings: Settings, place: Place, before: date) -> Retired:
    """End what a killed run has begun, unless the policy keeps those days by now."""
    mine = Wanted(action=(ACTION,), subject=settings.registered_model)
    last = ledger_of(settings.stack).entries(mine, newest=True, limit=1)
    if not last or last[0].event.outcome != "intent":
        return Retired()
    facts = last[0].event.facts
    if date.fromisoformat(facts["before"]) > before:
        record(settings.stack, _event(settings, "abandoned", facts, last[0]))
        return Retired()
    _delete(place, date.fromisoformat(facts["before"]))
    record(settings.stack, _event(settings, "done", facts, last[0]))
    return Retired(**{name: int(facts[name]) for name in ("days", "rows", "labels", "files")})


def _event(
    settings: Settings, outcome: str, facts: Mapping[str, str], intent: Entry | None = None
) -> Event:
    return Event(
        actor=actor(),
        action=ACTION,
        subject=settings.registered_model,
        outcome=outcome,
        reason=f"serving.log.retention_days is {settings.serving.log.retention_days:g}",
        facts=facts,
        once=f"{ACTION}:{intent.hash}" if intent else "",
    )


def _counted(place: Place, before: date) -> Retired:
    answers = [place.files(day) for day in place.days() if day < before]
    labels = [
        file for day in place.days(LABELS) if day < before for file in place.files(day, LABELS)
    ]
    copies = [file for day in place.days(COPIES) if day < before for file in place.copies(day)]
    return Retired(
        sum(bool(files) for files in answers),
        sum(_rows(file) for files in answers for file in files),
        sum(map(_rows, labels)),
        sum(map(len, answers)) + len(labels) + len(copies) + len(_damaged(place, before)),
    )


def _delete(place: Place, before: date) -> None:
    for kind in ("", LABELS):
        for day in place.days(kind):
            if day < before:
                for file in place.files(day, kind):
                    unlink(file)
                for scratch in _unfinished(place.day(day, kind)):
                    unlink(scratch)
                _remove_if_empty(place.day(day, kind))
    for path in _damaged(place, before):
        unlink(path)
    for day in place.days(COPIES):
        if day < before:
            for file in place.copies(day):
                unlink(file)
            for folder in (*entries(place.day(day, COPIES)), place.day(day, COPIES)):
                _remove_if_empty(folder)


def unlink(file: "UPath | Path") -> None:
    """Delete a file, unless somebody was quicker."""
    file.unlink(missing_ok=True)


def _unfinished(folder: "UPath") -> list[Path]:
    """What those that were killed while they wrote a file have left: it holds features as well."""
    return sorted(Path(folder.path).glob(f".*{SCRATCH}")) if is_local(folder) else []


def _damaged(place: Place, before: date) -> list[Path]:
    """Journals that were kept aside: they hold features as well."""
    found = []
    for path in sorted(place.journal.glob(f"*{DAMAGED}")):
        try:
            if day_of(path) < before:
                found.append(path)
        except ValueError:  # somebody else's
            continue
    return found


def _rows(file: "UPath") -> int:
    try:
        content = io.BytesIO(read(file))
        return int(pl.scan_parquet(content).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, FileNotFoundError):
        return 0  # it goes all the same


def _remove_if_empty(folder: "UPath") -> None:
    try:
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError:  # object stores have no folders
        return

"""Labels come late: which windows were reported without labels that are there by now?

The flow judges those again, each for the version that answered it, which writes their report anew
and changes nothing else: verdicts and alarms are on record, gauges show the newest window.

Guarantees, each held by a test: a window is named as soon as a label of it has come or changed, in
whatever order, and not again, also if more of its rows have come than were judged; a window whose
rows are gone is left as it was reported; only the newest window looks for others.
"""

import hashlib
import math

import polars as pl

from mlops_tasks.artifacts import Champion
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.monitoring.figures import ROWS
from mlops_tasks.monitoring.memory import DRIFT, REMEMBERED
from mlops_tasks.monitoring.window import MOST_WINDOWS, Window, window_of
from mlops_tasks.registry.reigning import reigning_champion, version_of
from mlops_tasks.registry.windows import WindowRun, recent_windows
from mlops_tasks.serving.prediction_log.labels import JOINED_BY, labelled, read_labels
from mlops_tasks.serving.prediction_log.reader import predictions
from mlops_tasks.serving.prediction_log.records import LABEL
from mlops_tasks.settings.schema import Settings


def answering_champion(settings: Settings, window: Window) -> Champion:
    """The verified version that answered a window as champion.

    That is the one which the window was judged for; if it was not judged yet, the champion, or the
    version that answered most if the champion answered nothing.

    Parameters
    ----------
    settings
        Name the model.
    window
        Of its traffic.

    Raises
    ------
    RegistryError
        If there is no champion, or the registry does not answer.
    AlteredObject
        If it is not, in every byte, what was registered.
    """
    champion = reigning_champion(settings)
    version = _judged_for(settings, window) or _answered_by(settings, window, champion.version)
    if version == champion.version:
        return champion
    return version_of(settings.stack, settings.registered_model, version)


def late_windows(settings: Settings, window: Window) -> list[tuple[str, str]]:
    """Start and end of the windows before the newest that have other labels than their reports.

    Parameters
    ----------
    settings
        Name the model.
    window
        The one that was judged. Where it is not the newest on record, there are none.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    StorageError
        If the log cannot be read.
    """
    recorded = [(_window(each), each) for each in recent_windows(settings, MOST_WINDOWS)]
    if any(other.end > window.end for other, _ in recorded):
        return []
    labels = read_labels(settings, settings.registered_model)
    return [
        (each.start.isoformat(), each.end.isoformat())
        for each, run in recorded
        if each != window and _has_others(settings, each, run, labels)
    ]


def labels_digest(rows: pl.DataFrame) -> str:
    """Names the labels of a window: equal for equal labels of the same rows."""
    known = rows.filter(pl.col(LABEL).is_not_null()).select(*JOINED_BY, LABEL).sort(JOINED_BY)
    return hashlib.sha256(known.write_csv().encode()).hexdigest()


def _has_others(settings: Settings, window: Window, run: WindowRun, labels: pl.DataFrame) -> bool:
    rows = predictions(
        settings,
        settings.registered_model,
        window.start,
        window.end,
        version=int(run.version),
        columns=JOINED_BY,
    )
    still_there = rows.height >= run.metrics.get(ROWS, math.inf)
    return still_there and labels_digest(labelled(rows, labels)) != run.labels


def _judged_for(settings: Settings, window: Window) -> int:
    """The version of the window's verdict on record; 0 if there is none."""
    wanted = Wanted(subject=settings.registered_model, action=(DRIFT,))
    for each in ledger_of(settings.stack).entries(wanted, newest=True, limit=REMEMBERED):
        if each.event.facts["window"] == window.name:
            return int(each.event.facts["version"])
    return 0


def _answered_by(settings: Settings, window: Window, champion: int) -> int:
    name = settings.registered_model
    rows = predictions(settings, name, window.start, window.end, columns=["version"])
    counted = rows["version"].value_counts(sort=True)
    if counted.is_empty() or champion in counted["version"]:
        return champion
    return int(counted["version"][0])


def _window(run: WindowRun) -> Window:
    start, end = run.window.split("/")
    return window_of(1, start, end)

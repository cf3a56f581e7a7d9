"""Which windows are to be judged now: the one that was asked for, and those that nobody judged.

A worker that was away for days makes up for it: windows are judged in the order of their ends, and
what the trigger and late labels rest on has no gap.

Guarantees, each held by a test: a window that is named is judged alone; otherwise all complete
windows since the newest that has a report are due, oldest first, `MOST_WINDOWS` at most, and the
last complete one in any case.
"""

from datetime import datetime, timedelta

from mlops_tasks.monitoring.figures import ROWS
from mlops_tasks.monitoring.window import MOST_WINDOWS, Window, window_of
from mlops_tasks.registry.windows import recent_windows
from mlops_tasks.settings.schema import Settings


def windows_due(
    settings: Settings,
    start: str | None = None,
    end: str | None = None,
    now: datetime | None = None,
) -> list[Window]:
    """The windows that are to be judged, oldest first.

    Parameters
    ----------
    settings
        Name the model and the length of its windows.
    start, end
        Of a window that is named, see `window_of`.
    now
        The clock's time if not given.

    Returns
    -------
    list of Window
        One at least; the last is the one that was asked for.

    Raises
    ------
    DataError
        If the window that is named is none.
    RegistryError
        If MLflow does not answer.
    """
    hours = settings.monitoring.window_hours
    due = [window_of(hours, start, end, now)]
    if start is not None or end is not None:
        return due
    recent = recent_windows(settings, MOST_WINDOWS)
    # A run without figures is that of a monitor which was killed.
    reported = [datetime.fromisoformat(each.end) for each in recent if ROWS in each.metrics]
    length = timedelta(hours=hours)
    while reported and len(due) < MOST_WINDOWS and due[0].start - length >= max(reported):
        due.insert(0, Window(due[0].start - length, due[0].start))
    return due

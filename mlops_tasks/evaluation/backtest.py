"""How a model would have done: trained before each of several moments, judged on what followed.

What is said of each window is that window's evaluation. Nothing is averaged into one verdict: the
gate judges on the comparison set, and a backtest says how much that varies over time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_tasks.artifacts import Evaluation, Interval, Split
from mlops_tasks.data.frames import read_frame


@dataclass(frozen=True, slots=True)
class Window:
    """One window: from when until when (ISO), on how many rows, and each metric's interval."""

    start: str
    end: str
    train_rows: int
    rows: int
    positives: int
    metrics: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class Backtest:
    """All windows in the order of time; `sliding` says that only the stretch before was known."""

    model: str
    primary: str
    sliding: bool
    windows: tuple[Window, ...]
    run_id: str = ""
    report_uri: str = ""


def backtest_of(
    model: str, primary: str, sliding: bool, splits: Sequence[Split], found: Sequence[Evaluation]
) -> Backtest:
    """Put windows and evaluations together.

    Parameters
    ----------
    model, primary
        What was trained, and which metric counts.
    sliding
        How the windows were cut.
    splits, found
        Windows and their evaluations, in the same order.

    Raises
    ------
    StorageError
        If the rows of a window are gone or altered.
    """
    windows = [_window(split, each) for split, each in zip(splits, found, strict=True)]
    return Backtest(model, primary, sliding, tuple(windows))


def _window(split: Split, found: Evaluation) -> Window:
    assert split.columns.time is not None  # it was cut by time
    times = read_frame(split.comparison)[split.columns.time]
    return Window(
        str(times.min()),
        str(times.max()),
        split.train.rows,
        found.rows,
        found.positives,
        dict(found.metrics),
    )

"""How a live model does on the rows whose labels have come: the metrics and slices of training.

The rows come from the prediction log with a column `label`, null where none has come yet. Nothing
here waits for labels or guesses them: that is `estimation`'s affair.

Guarantees, each held by a test: below the minimum of labels there is no figure, and it says so; the
figures are those of `evaluation` on the labelled rows; what cannot be sliced is named; no more than
`MOST_ROWS` rows are measured, however much traffic there was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlops_tasks.artifacts import CalibrationBin, Interval, SliceScore
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.bootstrap import intervals
from mlops_tasks.evaluation.calibration import calibration_bins
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.evaluation.slices import slice_scores
from mlops_tasks.serving.prediction_log.records import FEATURE, LABEL
from mlops_tasks.settings.schema import EvaluationSettings
from mlops_tasks.training.fit import SCORE

LABEL_TIME = "label_time"
MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Lag:
    """Hours from a prediction to its label: the middle one, and what nine in ten keep within."""

    median_hours: float
    ninth_decile_hours: float


@dataclass(frozen=True, slots=True)
class Performance:
    """How a window went, as far as its labels tell.

    `rows` were predicted, `labelled` of them have a label, `measured` were used. `mean_score` and
    `labelled_mean_score` differ where labels do not come for all rows alike: the figures then speak
    of those rows only. `unmeasured_slices` names columns that the log does not have.
    """

    window: str
    rows: int
    labelled: int
    measured: int
    positives: int
    minimum_labels: int
    primary: str
    mean_score: float | None
    labelled_mean_score: float | None
    lag: Lag | None = None
    metrics: tuple[tuple[str, Interval], ...] = ()
    slices: tuple[SliceScore, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    unmeasured_slices: tuple[str, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of rows that have a label; zero where there are no rows."""
        return self.labelled / self.rows if self.rows else 0.0

    @property
    def judged(self) -> bool:
        """Whether enough labels have come."""
        return self.labelled >= self.minimum_labels

    @property
    def summary(self) -> str:
        """How many labels have come, and whether that is enough."""
        found = f"{self.labelled:,} of {self.rows:,} rows have a label ({self.coverage:.1%})"
        if self.judged:
            return found
        return f"not enough labels: {found}, a figure takes {self.minimum_labels:,}"

    def metric(self, name: str) -> Interval | None:
        """One metric with its interval; None where it is not defined or there were too few."""
        return dict(self.metrics).get(name)


def realised(
    predictions: pl.DataFrame,
    settings: EvaluationSettings,
    *,
    minimum_labels: int,
    seed: int,
    window: str = "",
    cuts: Mapping[str, tuple[float, ...]] | None = None,
) -> Performance:
    """Measure a window of logged predictions on the rows that have a label.

    Parameters
    ----------
    predictions
        Rows of the log with `score` in [0, 1], `label` (0, 1, boolean or null), `feature.<name>`
        columns, and, for the lag, `time` and `label_time` in the same time zone.
    settings
        Primary metric, slices (without the prefix) and how finely to measure.
    minimum_labels
        Below so many labels there is no figure.
    seed
        Of the resampling.
    window
        What the window is called.
    cuts
        Where slices cut numbers, see `slices.cuts_of`; without them at the window's own quartiles,
        which cannot be held against those of another window.

    Raises
    ------
    DataError
        If a column is missing, a label is neither 0 nor 1, or a score is no probability.
    """
    _require(predictions)
    known = predictions.filter(pl.col(LABEL).is_not_null()).with_columns(
        pl.col(LABEL).cast(pl.Float64), pl.col(SCORE).cast(pl.Float64)
    )
    _refuse_other_labels(known)
    found = Performance(
        window=window,
        rows=predictions.height,
        labelled=known.height,
        measured=0,
        positives=int(known[LABEL].sum()),
        minimum_labels=minimum_labels,
        primary=settings.primary,
        mean_score=_mean(predictions),
        labelled_mean_score=_mean(known),
        lag=_lag(known),
    )
    return _measured(found, known, settings, seed, cuts) if found.judged else found


def _measured(
    found: Performance,
    known: pl.DataFrame,
    settings: EvaluationSettings,
    seed: int,
    cuts: Mapping[str, tuple[float, ...]] | None,
) -> Performance:
    if known.height > MOST_ROWS:
        known = known.sample(MOST_ROWS, seed=seed)
    target, score = as_arrays(known, LABEL)
    sliced = tuple(name for name in settings.slices if FEATURE + name in known.columns)
    frame = known.select(pl.col(FEATURE + name).alias(name) for name in sliced)
    metrics = intervals(
        tuple(METRICS),
        target,
        score,
        samples=settings.bootstrap_samples,
        confidence=settings.confidence,
        seed=seed,
    )
    return replace(
        found,
        measured=known.height,
        metrics=tuple(metrics.items()),
        slices=slice_scores(
            frame,
            sliced,
            target,
            score,
            metric=settings.primary,
            confidence=settings.confidence,
            seed=seed,
            cuts=cuts,
        ),
        calibration=calibration_bins(target, score, settings.calibration_bins),
        unmeasured_slices=tuple(name for name in settings.slices if name not in sliced),
    )


def _require(predictions: pl.DataFrame) -> None:
    absent = [name for name in (SCORE, LABEL) if name not in predictions.columns]
    if absent:
        raise DataError(
            "the predictions lack a column that a figure needs",
            where=", ".join(absent),
            next_step="join the labels to the rows of the prediction log first",
        )
    scores = predictions[SCORE].cast(pl.Float64).to_numpy()
    # A missing score becomes NaN, which no comparison holds for.
    if not np.all((scores >= 0) & (scores <= 1)):
        raise DataError(
            "a logged score is no probability",
            where=SCORE,
            next_step="measure rows of a model that answers with a probability",
        )


def _refuse_other_labels(known: pl.DataFrame) -> None:
    others = known.filter(~pl.col(LABEL).is_in([0.0, 1.0]))
    if others.height:
        raise DataError(
            f"{others.height} labels are neither 0 nor 1, for example {others[LABEL][0]:g}",
            where=LABEL,
            next_step="send labels as 0 and 1 with `mlops log label FILE`",
        )


def _mean(rows: pl.DataFrame) -> float | None:
    return float(np.mean(rows[SCORE].cast(pl.Float64).to_numpy())) if rows.height else None


def _lag(known: pl.DataFrame) -> Lag | None:
    if not {"time", LABEL_TIME} <= set(known.columns):
        return None
    hours = known.select((pl.col(LABEL_TIME) - pl.col("time")).dt.total_seconds() / 3600)
    waited = hours.to_series().drop_nulls().to_numpy()
    if not len(waited):
        return None
    median, ninth = np.quantile(waited, [0.5, 0.9])
    return Lag(float(median), float(ninth))

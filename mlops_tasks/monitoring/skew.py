"""Does the server see and say what training would? Logged requests go through the training path.

A sample of logged rows is given the types that the training rows had and is scored by the model
file itself, as training does. The contract's rules on values are not asked here: rows that break
them were answered all the same, and drift speaks of those.

Guarantees, each held by a test: a column of another type, a value that is missing where training
had none, a value that its type in training cannot hold, a score that differs by more than 1e-5 and
another label are each found and named by column and row; what the log's rules of privacy keep from
being checked is said, and is never a "no skew"; the list is bounded, the counts are of all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Candidate
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.metrics import THRESHOLD, Array
from mlops_tasks.inference.features import Feature
from mlops_tasks.monitoring.skew_report import Difference, Kind, SkewReport
from mlops_tasks.serving.prediction_log.records import FEATURE
from mlops_tasks.training.fit import SCORE, scores_of
from mlops_tasks.training.model_files import read_model

TOLERANCE = 1e-5
FLOAT_TOLERANCE = 1e-6  # of the value: what a column of 32-bit floats rounds away
SAMPLE = 2_000
MOST_NAMED = 20
LONGEST_VALUE = 80
_HOLDS: Mapping[str, Callable[[pl.DataType], bool]] = {
    "float": lambda dtype: dtype.is_float(),
    "integer": lambda dtype: dtype.is_integer(),
    "boolean": lambda dtype: dtype == pl.Boolean,
    "text": lambda dtype: dtype == pl.String,
}
REQUEST, ROW, DIGEST, PREDICTION = "request_id", "row", "digest", "prediction"


def skew(
    candidate: Candidate,
    features: Sequence[Feature],
    logged: pl.DataFrame,
    *,
    seed: int,
    hashed: Collection[str] = (),
    sample: int = SAMPLE,
) -> SkewReport:
    """Hold a sample of logged rows against the training path.

    Parameters
    ----------
    candidate
        Whose rows they are. Its model file is verified before it is loaded.
    features
        Its columns with the types that they had in training.
    logged
        Rows of the prediction log.
    seed
        Of the sample.
    hashed
        Features of which the log has only digests.
    sample
        At most so many rows are looked at.

    Raises
    ------
    DataError
        If columns of the log are missing.
    AlteredObject
        If the model file is not what its digest says.
    StorageError
        If it is gone.
    """
    _require(logged)
    rows = _drawn(logged, sample, seed)
    if rows.is_empty():
        return SkewReport(logged.height, 0)
    differences = _Differences(rows)
    others = rows[DIGEST].ne_missing(candidate.digest)
    differences.add("model", "", others, rows[DIGEST], candidate.digest)
    private = _private(features, rows, hashed)
    typed = pl.DataFrame(
        [
            _as_trained(rows[FEATURE + each.name], each, differences)
            for each in features
            if each.name not in private
        ]
    )
    unchecked, gap = [f"{name}: {why}" for name, why in private.items()], None
    if private or differences.of_kind("type"):
        unchecked.append("scores: they take all features, as training had them")
    else:
        gap = _scored(candidate, typed, rows, differences)
    return SkewReport(
        logged.height,
        rows.height,
        tuple(differences.counts),
        tuple(differences.named[:MOST_NAMED]),
        gap,
        tuple(unchecked),
    )


class _Differences:
    """Collects differences, counting all and naming some of each kind and column."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._requests, self._rows = rows[REQUEST], rows[ROW]
        self.counts: list[tuple[Kind, str, int]] = []
        self.named: list[Difference] = []

    def add(
        self, kind: Kind, column: str, found: pl.Series, served: pl.Series, trained: pl.Series | str
    ) -> None:
        places = found.fill_null(False).arg_true()
        if not len(places):
            return
        self.counts.append((kind, column, len(places)))
        for place in places.head(max(1, MOST_NAMED // 4)):
            other = trained if isinstance(trained, str) else str(trained[place])
            self.named.append(
                Difference(
                    kind,
                    column,
                    str(self._requests[place])[:LONGEST_VALUE],
                    int(self._rows[place]),
                    str(served[place])[:LONGEST_VALUE],
                    other[:LONGEST_VALUE],
                )
            )

    def of_kind(self, kind: Kind) -> bool:
        return any(found == kind for found, _, _ in self.counts)


def _require(logged: pl.DataFrame) -> None:
    needed = (REQUEST, ROW, DIGEST, SCORE, PREDICTION)
    absent = [name for name in needed if name not in logged.columns]
    if absent:
        raise DataError(
            "the logged rows lack columns of the prediction log",
            where=", ".join(absent),
            next_step="read them with `prediction_log.reader.predictions`",
        )


def _drawn(logged: pl.DataFrame, sample: int, seed: int) -> pl.DataFrame:
    # In a fixed order first: a log read from other files in another order gives the same sample.
    ordered = logged.sort(REQUEST, ROW)
    if ordered.height <= sample:
        return ordered
    return ordered.sample(sample, seed=seed).sort(REQUEST, ROW)


def _private(
    features: Sequence[Feature], rows: pl.DataFrame, hashed: Collection[str]
) -> dict[str, str]:
    found = {}
    for each in features:
        if FEATURE + each.name not in rows.columns:
            found[each.name] = "not in the log (serving.log.drop)"
        elif each.name in hashed:
            found[each.name] = "only a digest is in the log (serving.log.hashed)"
    return found


def _as_trained(served: pl.Series, feature: Feature, differences: _Differences) -> pl.Series:
    """The column in the type that training had, noting what that does not go well with."""
    missing = _missing(served)
    if not feature.nullable:
        differences.add("missing", feature.name, missing, served, "never missing")
    trained = served.cast(feature.dtype, strict=False).alias(feature.name)
    if served.dtype == pl.Null:
        return trained
    if _HOLDS[feature.kind](served.dtype):
        lost = ~missing & _changed(served, trained, feature)
        differences.add("value", feature.name, lost, served, trained)
    else:
        types = pl.repeat(str(served.dtype), len(served), eager=True)
        differences.add("type", feature.name, ~missing, types, str(feature.dtype))
    return trained


def _missing(values: pl.Series) -> pl.Series:
    return values.is_null() | values.is_nan() if values.dtype.is_float() else values.is_null()


def _changed(served: pl.Series, trained: pl.Series, feature: Feature) -> pl.Series:
    if feature.kind != "float":
        return ~served.cast(pl.String).eq_missing(trained.cast(pl.String))
    before, after = served.cast(pl.Float64), trained.cast(pl.Float64)
    return after.is_null() | ((before - after).abs() > FLOAT_TOLERANCE * before.abs())


def _scored(
    candidate: Candidate, typed: pl.DataFrame, rows: pl.DataFrame, differences: _Differences
) -> float | None:
    """Score as training does; the largest gap, or None where the model refuses the rows."""
    estimator = read_model(candidate.model_uri, candidate.digest)
    # The training path wants a key, the log has none: a name that no feature can have.
    key = "row of " + ", ".join(typed.columns)
    columns = replace(candidate.columns, key=(key,))
    try:
        scores = scores_of(estimator, typed.with_row_index(key), columns)[SCORE]
    except ValueError as error:
        said = str(error).splitlines()[0]
        everywhere = pl.repeat(True, rows.height, eager=True)
        differences.add("refused", "", everywhere, rows[SCORE], said)
        return None
    served = rows[SCORE].cast(pl.Float64)
    gaps: Array = np.abs(served.to_numpy() - scores.to_numpy())
    apart = pl.Series(~(gaps <= TOLERANCE))  # a score that is missing is apart too
    differences.add("score", "", apart, served, scores)
    labels = (scores >= THRESHOLD).cast(pl.Int64)
    other = ~rows[PREDICTION].cast(pl.Int64).eq_missing(labels)
    differences.add("label", "", other, rows[PREDICTION], labels)
    return float(np.max(gaps[np.isfinite(gaps)], initial=0.0))

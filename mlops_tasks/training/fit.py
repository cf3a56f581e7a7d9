"""Fit one named model on the training rows, and score rows with a fitted one.

The same inputs give the same model file, bit for bit, in any process on the same versions.
"""

import inspect
import time
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_tasks.artifacts import Candidate, Code, Columns, Split
from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import TrainingError
from mlops_tasks.references import load
from mlops_tasks.settings.schema import ModelSettings
from mlops_tasks.storage import put
from mlops_tasks.training.model_files import write_model

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

SCORE = "score"


def fit(split: Split, models: Code, model: ModelSettings, seed: int, *, store: str) -> Candidate:
    """Build the model that the settings name and fit it.

    Parameters
    ----------
    split
        Its training part is learned from.
    models
        A table of builders: name to `build(columns: Columns, seed: int, **params) -> estimator`.
    model
        Which builder, and its parameters.
    seed
        Given to the builder, and to numpy's global generator.
    store
        Folder URI for the model file.

    Raises
    ------
    TrainingError
        If the name or a parameter is unknown, or the estimator cannot be fitted.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    estimator = build(models, model, split.columns, seed)
    frame = read_frame(split.train)
    np.random.seed(seed)  # for estimators that reach for the global generator
    started = time.perf_counter()
    try:
        # One BLAS thread: sums in another order give other last bits.
        with threadpool_limits(limits=1, user_api="blas"):
            estimator.fit(frame.select(split.columns.features), frame[split.columns.target])
    except (ValueError, TypeError) as error:
        raise TrainingError(
            f"{model.name} cannot be fitted: {str(error).splitlines()[0]}",
            where=models.reference,
            next_step="check `model.params` and the types in schema.py",
        ) from error
    seconds = time.perf_counter() - started
    _score_with_one_thread(estimator)
    _forget_threads_of_fitting(estimator)
    uri, digest, size = put(store, lambda path: write_model(estimator, path), ".skops")
    return Candidate(
        uri,
        digest,
        model.name,
        dict(model.params),
        seed,
        split.train,
        split.columns,
        models,
        size,
        seconds,
    )


def _score_with_one_thread(estimator: "BaseEstimator") -> None:
    """Threads add up a forest's votes in whatever order they end: other last bits each time."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "n_jobs"]
    estimator.set_params(**dict.fromkeys(names, 1))


def _forget_threads_of_fitting(estimator: "BaseEstimator") -> None:
    """Histogram boosting notes how many cores it was fitted on, and never reads that again."""
    for part in (estimator, *estimator.get_params().values()):
        if hasattr(part, "_bin_mapper"):
            part._bin_mapper.n_threads = 1


def build(models: Code, model: ModelSettings, columns: Columns, seed: int) -> "BaseEstimator":
    """Call the builder of this name with its parameters.

    Raises
    ------
    TrainingError
        If there is no such builder, or it has no such parameter.
    """
    table = load(models.reference)
    if model.name not in table:
        raise TrainingError(
            f"there is no model {model.name!r}",
            where=f"model.name, {models.reference}",
            next_step=f"choose from {', '.join(table)}",
        )
    allowed = list(inspect.signature(table[model.name]).parameters)[2:]
    unknown = sorted(set(model.params) - set(allowed))
    if unknown:
        raise TrainingError(
            f"{model.name} has no parameter {unknown[0]!r}",
            where="model.params",
            next_step=f"choose from {', '.join(allowed) or 'none: it takes no parameters'}",
        )
    return table[model.name](columns, seed, **model.params)


def scores_of(estimator: "BaseEstimator", frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Keys, target (where present) and the score of the positive class; one row per row."""
    probabilities: Any = estimator.predict_proba(frame.select(columns.features))
    kept = [*columns.key, *([columns.target] if columns.target in frame.columns else [])]
    return frame.select(kept).with_columns(pl.Series(SCORE, probabilities[:, 1]))

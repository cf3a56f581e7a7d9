"""Everything that is measured about one candidate on the frozen comparison set."""

import time
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Candidate, Dataset, Evaluation
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.data.placement import common_regions
from mlops_tasks.errors import SettingsError
from mlops_tasks.evaluation.bootstrap import intervals
from mlops_tasks.evaluation.calibration import calibration_bins
from mlops_tasks.evaluation.importance import permutation_importance
from mlops_tasks.evaluation.metrics import METRICS, Array
from mlops_tasks.evaluation.slices import slice_scores
from mlops_tasks.settings.schema import EvaluationSettings
from mlops_tasks.training.fit import SCORE, scores_of
from mlops_tasks.training.model_files import read_model

LATENCY_CALLS = 20


def evaluate(
    candidate: Candidate, comparison: Dataset, settings: EvaluationSettings, *, store: str
) -> Evaluation:
    """Measure a candidate.

    Parameters
    ----------
    candidate
        Its model file is verified before it is loaded.
    comparison
        Rows that the candidate was not trained on, with the target.
    settings
        Primary metric, slices, and how finely to measure.
    store
        Folder URI for the scores.

    Raises
    ------
    SettingsError
        If a slice column is not in the data.
    StorageError
        If the model or the rows are gone or altered.
    """
    unknown = [name for name in settings.slices if name not in comparison.columns]
    if unknown:
        raise SettingsError(
            f"evaluation.slices names {unknown[0]!r}, which is not a column",
            where="evaluation.slices",
            next_step=f"choose from {', '.join(comparison.columns)}",
        )
    from threadpoolctl import ThreadpoolController

    estimator = read_model(candidate.model_uri, candidate.digest)
    columns, frame = candidate.columns, read_frame(comparison)
    scores = scores_of(estimator, frame, columns)
    target, score = as_arrays(scores, columns.target)
    threads = ThreadpoolController()  # finds what scoring has loaded

    def predict(rows: pl.DataFrame) -> Array:
        # Threads that wait for each other cost more than they save on a few thousand rows.
        with threads.limit(limits=1):
            return np.asarray(estimator.predict_proba(rows)[:, 1], dtype=np.float64)

    resampling: dict[str, Any] = {"confidence": settings.confidence, "seed": candidate.seed}
    return Evaluation(
        candidate_digest=candidate.digest,
        comparison=comparison,
        primary=settings.primary,
        rows=frame.height,
        positives=int(target.sum()),
        metrics=intervals(
            tuple(METRICS), target, score, samples=settings.bootstrap_samples, **resampling
        ),
        slices=slice_scores(
            frame, settings.slices, target, score, metric=settings.primary, **resampling
        ),
        calibration=calibration_bins(target, score, settings.calibration_bins),
        importance=permutation_importance(
            predict,
            frame.select(columns.features),
            target,
            metric=settings.primary,
            repeats=settings.importance_repeats,
            seed=candidate.seed,
        ),
        scores=write_frame(
            scores,
            store,
            regions=common_regions(candidate, comparison),
            dvc_rev=comparison.dvc_rev,
        ),
        latency_ms=_latency_ms(predict, frame.select(columns.features)),
    )


def as_arrays(scores: pl.DataFrame, target: str) -> tuple[Array, Array]:
    """Target and score of a frame of scores, each of shape `(rows,)`."""
    return (
        scores[target].cast(pl.Float64).to_numpy(),
        scores[SCORE].cast(pl.Float64).to_numpy(),
    )


def _latency_ms(predict: Any, features: pl.DataFrame) -> float:
    taken = []
    for number in range(min(LATENCY_CALLS, features.height)):
        started = time.perf_counter()
        predict(features[number : number + 1])
        taken.append((time.perf_counter() - started) * 1000)
    return median(taken)

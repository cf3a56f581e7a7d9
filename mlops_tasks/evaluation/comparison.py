"""A candidate against its rivals (baselines, champion) on the same frozen rows."""

from collections.abc import Mapping

import polars as pl

from mlops_tasks.artifacts import Candidate, Comparison, Dataset, Evaluation
from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import StorageError
from mlops_tasks.evaluation.bootstrap import paired_gain
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import point
from mlops_tasks.settings.schema import EvaluationSettings
from mlops_tasks.training.fit import scores_of
from mlops_tasks.training.model_files import read_model


def compare(
    evaluation: Evaluation,
    rivals: Mapping[str, Candidate],
    comparison: Dataset,
    settings: EvaluationSettings,
    seed: int,
) -> tuple[Comparison, ...]:
    """The candidate's gain over each rival, row by row on the rows it was evaluated on.

    Parameters
    ----------
    evaluation
        Of the candidate; its scores are taken, not computed again.
    rivals
        What the gate calls them: "trivial", "linear", "champion".
    comparison
        The rows of the evaluation.
    settings
        Primary metric and resampling.
    seed
        Of the resampling.

    Raises
    ------
    StorageError
        If a rival's model or the rows are gone or altered.
    """
    frame = read_frame(comparison)
    own = read_frame(evaluation.scores)
    found = []
    for name, rival in rivals.items():
        target, challenger = as_arrays(own, rival.columns.target)
        estimator = read_model(rival.model_uri, rival.digest)
        _, score = as_arrays(scores_of(estimator, frame, rival.columns), rival.columns.target)
        gain = paired_gain(
            settings.primary,
            target,
            challenger,
            score,
            samples=settings.bootstrap_samples,
            confidence=settings.confidence,
            seed=seed,
        )
        if gain is None:
            continue  # the gate refuses where a comparison is missing
        found.append(
            Comparison(
                name,
                rival.digest,
                settings.primary,
                point(settings.primary, target, score),
                gain,
                seen_rows(rival, frame),
            )
        )
    return tuple(found)


def seen_rows(rival: Candidate, comparison: pl.DataFrame) -> int | None:
    """How many comparison rows the rival was trained on, by key; None if that cannot be shown."""
    try:
        trained = read_frame(rival.train)
    except StorageError:
        return None
    keys = list(rival.columns.key)
    return comparison.select(keys).join(trained.select(keys), on=keys, how="semi").height

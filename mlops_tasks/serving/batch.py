"""Score a whole dataset with the champion, and say in every row which version scored it."""

import polars as pl

from mlops_tasks.artifacts import Champion, Dataset
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.data.placement import common_regions
from mlops_tasks.evaluation.metrics import THRESHOLD
from mlops_tasks.training.fit import SCORE, scores_of
from mlops_tasks.training.model_files import read_model


def score_batch(champion: Champion, rows: Dataset, *, store: str) -> Dataset:
    """Key, target (where known), score, prediction, version and digest for every row.

    Parameters
    ----------
    champion
        Its model file is verified before it is loaded.
    rows
        Rows that fulfil the contract.
    store
        Folder URI for the result.

    Raises
    ------
    StorageError
        If the model or the rows are gone or altered.
    """
    candidate = champion.candidate
    estimator = read_model(candidate.model_uri, candidate.digest)
    scored = scores_of(estimator, read_frame(rows), candidate.columns).with_columns(
        (pl.col(SCORE) >= THRESHOLD).cast(pl.Int64).alias("prediction"),
        pl.lit(champion.version, pl.Int64).alias("model_version"),
        pl.lit(candidate.digest).alias("model_digest"),
    )
    return write_frame(scored, store, regions=common_regions(champion, rows), dvc_rev=rows.dvc_rev)

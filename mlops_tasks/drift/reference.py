"""The profile that is stored with a model version: its features and its score, as they should be.

Features are profiled on all rows that the model's author had, training and comparison. The score is
profiled on the comparison rows only: on rows that a model has learned from, its scores are too sure
of themselves, and every live window would look like drift. Where the profile is kept, and which
columns must be left out or hashed before, is the affair of the registry.

Guarantees, each held by a test: the same rows, in any order, give the same bytes
(`documents.encode`); of the rows it keeps what `counting` says and no more, about 1 kB for each
column; a live window whose scores are like those of the comparison rows is no drift.
"""

import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.drift.profile import Profile, beside, profile_of
from mlops_tasks.errors import DataError
from mlops_tasks.training.fit import SCORE


def reference_of(
    train: pl.DataFrame, comparison: pl.DataFrame, scores: pl.DataFrame, columns: Columns
) -> Profile:
    """Profile a model's features and its score.

    Parameters
    ----------
    train, comparison
        The rows that the model learned from and those it was judged on, with all of
        `columns.features`.
    scores
        Of the comparison rows, in the column "score".
    columns
        What the columns are. Those that are `categorical` are counted level by level, whatever type
        they are stored in.

    Raises
    ------
    DataError
        If there are no rows, a column is missing or cannot be counted, the types of `train` and
        `comparison` differ, or a feature is called "score".
    """
    try:
        rows = pl.concat([each.select(columns.features) for each in (train, comparison)])
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "training and comparison rows do not have the same features",
            where=str(error).splitlines()[0][:200],
            next_step="make both by the same split: run the training again",
        ) from error
    features = profile_of(rows, columns.features, categorical=columns.categorical)
    return beside(features, profile_of(scores, (SCORE,)))

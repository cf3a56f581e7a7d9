"""What a set of parameters is worth: the primary metric, fold by fold, on training rows only.

After each fold the mean so far is reported, and a trial that does worse than the median of the
others at the same fold is pruned. Fits use one thread: workers are processes side by side, and a
trial comes to the same value however many there are.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import TrainingError
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import point
from mlops_tasks.settings.schema import ModelSettings
from mlops_tasks.training.fit import build, scores_of
from mlops_tasks.tuning.folds import folds
from mlops_tasks.tuning.space import Space, suggest
from mlops_tasks.tuning.study import Search

if TYPE_CHECKING:
    from optuna.trial import Trial

Pairs = Sequence[tuple[pl.DataFrame, pl.DataFrame]]


def pairs_of(search: Search) -> Pairs:
    """The folds of a search's training rows.

    Raises
    ------
    StorageError
        If the rows are gone or altered.
    DataError
        If they cannot be divided into so many folds.
    """
    settings, split = search.settings, search.split
    rows = read_frame(split.train)
    return list(folds(rows, split.columns, split.kind, settings.tuning.folds, settings.seed))


def worth(search: Search, pairs: Pairs, space: Space, trial: "Trial") -> float:
    """The mean of the primary metric over all folds.

    Raises
    ------
    optuna.TrialPruned
        If it does worse than others did after as many folds.
    TrainingError
        If the model cannot be fitted with these parameters, or the metric is not defined.
    """
    import optuna

    settings, columns = search.settings, search.split.columns
    params = dict(settings.model.params) | suggest(trial, space)
    model = ModelSettings(name=settings.model.name, params=params)
    values: list[float] = []
    for number, (learn, judge) in enumerate(pairs):
        estimator = build(search.models, model, columns, settings.seed)
        values.append(_value(estimator, learn, judge, columns, search))
        mean = math.fsum(values) / len(values)
        trial.report(mean, number)
        if number + 1 < len(pairs) and trial.should_prune():
            raise optuna.TrialPruned
    return mean


def _value(
    estimator: Any, learn: pl.DataFrame, judge: pl.DataFrame, columns: Columns, search: Search
) -> float:
    import numpy as np
    from threadpoolctl import threadpool_limits

    threads = {
        name: 1
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "n_jobs" and value not in (None, 1)
    }
    estimator.set_params(**threads)
    np.random.seed(search.settings.seed)  # for estimators that reach for the global generator
    metric = search.settings.evaluation.primary
    with threadpool_limits(limits=1):
        try:
            estimator.fit(learn.select(columns.features), learn[columns.target])
        except (ValueError, TypeError) as error:
            raise TrainingError(
                f"{search.settings.model.name} cannot be fitted: {str(error).splitlines()[0]}",
                where=search.models.reference,
                next_step="narrow `tuning.spaces`, and check the types in schema.py",
            ) from error
        found = point(metric, *as_arrays(scores_of(estimator, judge, columns), columns.target))
    if math.isnan(found):
        raise TrainingError(
            f"{metric} is not defined on {judge.height} rows",
            where="tuning.folds",
            next_step="set fewer folds",
        )
    return found

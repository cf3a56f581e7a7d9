"""Permutation importance: what is lost when one feature is shuffled, and which lose nothing.

Breiman (2001), doi:10.1023/A:1010933404324. Correlated features share their importance: a feature
named useless here is useless beside the others, not on its own.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Importance
from mlops_tasks.evaluation.metrics import METRICS, Array, point

MAX_ROWS = 5_000


def permutation_importance(
    predict: Callable[[pl.DataFrame], Array],
    features: pl.DataFrame,
    target: Array,
    *,
    metric: str,
    repeats: int,
    seed: int,
) -> tuple[Importance, ...]:
    """Importance of each column, most important first.

    A feature is useless when its mean loss is within two standard errors of zero. Were it useless,
    the order as it is would be one more shuffle: its own score varies as much as that of each.

    Parameters
    ----------
    predict
        Scores of the positive class, shape `(rows,)`, from a frame of features; of each row alone.
    features
        Shape `(rows, features)`; at most `MAX_ROWS` rows, drawn by seed, are used.
    target
        Shape `(rows,)`.
    metric
        A key of `METRICS`.
    repeats
        Shuffles per feature.
    seed
        Of the drawing and shuffling.
    """
    generator = np.random.default_rng(seed)
    if features.height > MAX_ROWS:
        kept = np.sort(generator.choice(features.height, MAX_ROWS, replace=False))
        features, target = features[kept], target[kept]
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    whole = point(metric, target, predict(features))
    found = []
    for name in features.columns:
        orders = [generator.permutation(features.height) for _ in range(repeats)]
        # One call for all shuffles: a call costs more than its rows.
        shuffled = pl.concat(
            [features.with_columns(features[name][order].alias(name)) for order in orders]
        )
        scores = np.split(predict(shuffled), repeats)
        losses = [sign * (whole - point(metric, target, each)) for each in scores]
        mean, std = float(np.mean(losses)), float(np.std(losses, ddof=1))
        useless = mean <= 2 * std * np.sqrt(1 + 1 / repeats)
        found.append(Importance(name, mean, std, bool(useless)))
    return tuple(sorted(found, key=lambda item: (-item.mean, item.feature)))

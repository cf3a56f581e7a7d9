"""Percentile intervals by the bootstrap, and the paired one for a difference of two models.

Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 13. Resamples are drawn in
batches of bounded memory; the same seed gives the same interval whatever the batch size is.
Rows are taken as independent: for strongly clustered data the intervals are too narrow.
"""

from collections.abc import Iterator

import numpy as np

from mlops_tasks.artifacts import Interval
from mlops_tasks.evaluation.metrics import METRICS, Array, point

BATCH_CELLS = 4_000_000
MINIMUM_DEFINED = 0.9


def intervals(
    names: tuple[str, ...],
    target: Array,
    score: Array,
    *,
    samples: int,
    confidence: float,
    seed: int,
) -> dict[str, Interval]:
    """Each metric with its interval; metrics that are not defined on these rows are left out.

    Parameters
    ----------
    names
        Keys of `METRICS`.
    target, score
        Shape `(rows,)`: 0 or 1, and the score of the positive class in [0, 1].
    samples
        Number of resamples.
    confidence
        Between 0 and 1, for example 0.95.
    seed
        Of the resampling.
    """
    if not len(target):
        return {}
    draws: dict[str, list[Array]] = {name: [] for name in names}
    for weights in _resamples(len(target), samples, seed):
        for name in names:
            draws[name].append(METRICS[name].compute(target, score, weights))
    found = {
        name: _interval(point(name, target, score), np.concatenate(draws[name]), confidence)
        for name in names
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def paired_gain(
    name: str,
    target: Array,
    challenger: Array,
    rival: Array,
    *,
    samples: int,
    confidence: float,
    seed: int,
) -> Interval | None:
    """Challenger minus rival on the same rows and resamples; positive means better.

    Returns None where the metric is not defined.
    """
    sign = 1.0 if METRICS[name].higher_is_better else -1.0
    compute = METRICS[name].compute
    draws = [
        sign * (compute(target, challenger, weights) - compute(target, rival, weights))
        for weights in _resamples(len(target), samples, seed)
    ]
    value = sign * (point(name, target, challenger) - point(name, target, rival))
    return _interval(value, np.concatenate(draws), confidence)


def _resamples(rows: int, samples: int, seed: int) -> Iterator[Array]:
    """Row weights of each resample, shape `(batch, rows)`, seeded one by one."""
    batch = max(1, BATCH_CELLS // rows)
    for start in range(0, samples, batch):
        stop = min(start + batch, samples)
        yield np.stack([_draw(rows, seed, index) for index in range(start, stop)])


def _draw(rows: int, seed: int, index: int) -> Array:
    generator = np.random.default_rng((seed, index))
    drawn = generator.integers(0, rows, rows)
    return np.bincount(drawn, minlength=rows).astype(np.float64)


def _interval(value: float, draws: Array, confidence: float) -> Interval | None:
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or len(defined) < MINIMUM_DEFINED * len(draws):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high))

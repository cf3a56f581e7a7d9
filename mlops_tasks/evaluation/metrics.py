"""Metrics of a binary classifier, each computed for many bootstrap resamples at once.

A resample is a vector of row weights (how often each row was drawn), so every metric here takes
`weights` of shape `(resamples, rows)` and gives `(resamples,)`; the point estimate is the case of
one row of ones. Tied scores count as one threshold, as in scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
THRESHOLD = 0.5
EPSILON = 1e-15


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is computed, and which direction is good.

    `compute(target, score, weights)` takes shapes `(rows,)`, `(rows,)`, `(resamples, rows)`; a
    resample in which it is not defined (one class only) gives NaN.
    """

    compute: Callable[[Array, Array, Array], Array]
    higher_is_better: bool


def roc_auc(target: Array, score: Array, weights: Array) -> Array:
    """Chance that a positive row scores above a negative one, ties counting half.

    Hanley and McNeil (1982), doi:10.1148/radiology.143.1.7063747.
    """
    positive, negative = _by_threshold(target, score, weights)
    below = np.cumsum(negative[:, ::-1], axis=1)[:, ::-1] - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    return _ratio(wins, positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(target: Array, score: Array, weights: Array) -> Array:
    """Precision averaged over the steps in recall (no interpolation), as in scikit-learn."""
    positive, negative = _by_threshold(target, score, weights)
    found = np.cumsum(positive, axis=1)
    precision = _ratio(found, found + np.cumsum(negative, axis=1))
    total = positive.sum(axis=1)
    return _ratio((np.nan_to_num(precision) * positive).sum(axis=1), total)


def log_loss(target: Array, score: Array, weights: Array) -> Array:
    """Mean negative log-likelihood in nats, scores clipped to [1e-15, 1 - 1e-15]."""
    clipped = np.clip(score, EPSILON, 1 - EPSILON)
    return _mean(-np.where(target == 1, np.log(clipped), np.log1p(-clipped)), weights)


def brier_score(target: Array, score: Array, weights: Array) -> Array:
    """Mean squared error of the score. Brier (1950)."""
    return _mean((score - target) ** 2, weights)


def accuracy(target: Array, score: Array, weights: Array) -> Array:
    """Share of rows on the right side of a score of 0.5."""
    return _mean(((score >= THRESHOLD) == (target == 1)).astype(float), weights)


def precision(target: Array, score: Array, weights: Array) -> Array:
    """Share of positives among the rows that score 0.5 or more."""
    called = (score >= THRESHOLD).astype(float)
    return _ratio(weights @ (called * target), weights @ called)


def recall(target: Array, score: Array, weights: Array) -> Array:
    """Share of the positives that score 0.5 or more."""
    called = (score >= THRESHOLD).astype(float)
    return _ratio(weights @ (called * target), weights @ target)


def calibration_error(target: Array, score: Array, weights: Array) -> Array:
    """Expected calibration error over ten bins of equal width.

    Naeini, Cooper and Hauskrecht (2015), doi:10.1609/aaai.v29i1.9602.
    """
    bins = np.minimum((score * 10).astype(int), 9)
    member = np.eye(10)[bins]
    gap = np.abs(weights @ (member * (score - target)[:, None]))
    return _ratio(gap.sum(axis=1), weights.sum(axis=1))


METRICS: dict[str, Metric] = {
    "roc_auc": Metric(roc_auc, True),
    "average_precision": Metric(average_precision, True),
    "log_loss": Metric(log_loss, False),
    "brier_score": Metric(brier_score, False),
    "accuracy": Metric(accuracy, True),
    "precision": Metric(precision, True),
    "recall": Metric(recall, True),
    "calibration_error": Metric(calibration_error, False),
}


def point(name: str, target: Array, score: Array) -> float:
    """The metric on the rows as they are; NaN where it is not defined."""
    return float(METRICS[name].compute(target, score, np.ones((1, len(target))))[0])


def _by_threshold(target: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of positives and of negatives at each distinct score, from high to low."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    drawn = weights[:, order]
    positive = drawn * (target[order] == 1)
    return (
        np.add.reduceat(positive, starts, axis=1),
        np.add.reduceat(drawn - positive, starts, axis=1),
    )


def _mean(values: Array, weights: Array) -> Array:
    return _ratio(weights @ values, weights.sum(axis=1))


def _ratio(numerator: Array, denominator: Array) -> Array:
    out = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out

"""Can a classifier tell live rows from reference rows? Drift of many columns at once.

What no single column shows, such as a broken correlation or a cloud of embeddings that moved, a
classifier of window against reference can use: its area under the ROC curve on rows that it has not
seen is 0.5 without drift (Lopez-Paz and Oquab 2017, arXiv:1610.06545). The classifier is logistic
regression on each feature and its square, so it sees places and spreads of features, and products
of features only where they are given to it.

Guarantees, each held by a test: the same rows and seed give the same result; no more than `sample`
rows of either side are used; without drift p-values at or below `a` are not more frequent than `a`.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tasks.artifacts import Interval
from mlops_tasks.drift.bins import Array
from mlops_tasks.drift.counting import positions
from mlops_tasks.drift.profile import Profile
from mlops_tasks.errors import DataError

FOLDS = 3
LARGEST_SCORE = 5.0
MAX_STRONGEST = 5
MAX_INDICATORS = 20
NORMAL_95 = 1.959963984540054
REGULARISATION = 0.1


@dataclass(frozen=True, slots=True)
class DomainDrift:
    """How well window and reference can be told apart: AUC with its 95 % interval, and a p-value.

    The rows are those that were used. `strongest` names the features that the classifier used most.
    """

    auc: Interval
    p_value: float
    reference_rows: int
    window_rows: int
    strongest: tuple[str, ...] = ()


def domain_drift(
    reference: Array,
    window: Array,
    *,
    seed: int,
    names: tuple[str, ...] = (),
    sample: int = 5_000,
) -> DomainDrift:
    """Classifier two-sample test with three folds.

    The p-value is one-sided, of the mean AUC of the folds as a Mann-Whitney statistic (Hanley and
    McNeil 1982, doi:10.1148/radiology.143.1.7063747, also for the interval). Two folds learn from
    some of the same rows, so their AUCs move together, nobody knows how much (Bengio and Grandvalet
    2004, JMLR 5): the error of the mean is taken to be that of a single fold.

    Parameters
    ----------
    reference, window
        Finite features, shapes `(rows, features)`: embeddings, or what `features_of` gives.
    seed
        Of the sample and the folds.
    names
        Of the features, for `strongest`.
    sample
        At most this many rows are drawn from either.

    Raises
    ------
    DataError
        If the two do not have the same features, or a value is not finite.
    """
    from threadpoolctl import threadpool_limits

    if reference.ndim != 2 or reference.shape[1:] != window.shape[1:]:
        raise DataError(
            "window and reference do not have the same features",
            where=f"shapes {reference.shape} and {window.shape}",
            next_step="describe both by the same profile or embed both with the same model",
        )
    generator = np.random.default_rng(seed)
    old, new = (_drawn(each, sample, generator) for each in (reference, window))
    if not (np.isfinite(old).all() and np.isfinite(new).all()):
        raise DataError(
            "a feature is missing or infinite",
            next_step="fill missing values before the test, or use `features_of`",
        )
    if min(len(old), len(new)) < 2 * FOLDS or not old.shape[1]:
        return DomainDrift(Interval(0.5, 0.0, 1.0), 1.0, len(old), len(new))
    rows = np.concatenate([old, new])
    live = np.repeat([0, 1], [len(old), len(new)])
    fold = np.concatenate([np.arange(len(old)) % FOLDS, np.arange(len(new)) % FOLDS])
    with threadpool_limits(limits=1, user_api="blas"):
        found = [_one_fold(rows, live, fold == each) for each in range(FOLDS)]
    auc = float(np.mean([each for each, _ in found]))
    sizes = [
        (np.sum((fold == each) & (live == 0)), np.sum((fold == each) & (live == 1)))
        for each in range(FOLDS)
    ]
    error = np.mean([np.sqrt(_variance(auc, *size)) for size in sizes])
    chance = np.mean([np.sqrt((n + m + 1) / (12 * n * m)) for n, m in sizes])
    low, high = (float(np.clip(auc + sign * NORMAL_95 * error, 0, 1)) for sign in (-1, 1))
    weights = np.mean([each for _, each in found], axis=0)
    order = np.argsort(-weights, kind="stable")[:MAX_STRONGEST]
    return DomainDrift(
        Interval(auc, min(low, auc), max(high, auc)),
        _upper_tail((auc - 0.5) / chance),
        len(old),
        len(new),
        tuple(names[index] for index in order) if names else (),
    )


def features_of(frame: pl.DataFrame, profile: Profile) -> tuple[Array, tuple[str, ...]]:
    """Rows as numbers in [0, 1], by the bins of a profile: features and their names.

    A number becomes its rank among the reference's bins, so that no unit and no outlier matters; a
    category one indicator for each of its 20 most frequent levels; a missing value 0.5, with an
    indicator where the reference or the frame has one. Times move on by themselves: left out.

    Returns
    -------
    tuple
        Shape `(rows, features)`, and the names of the features, the same for every frame.
    """
    found: dict[str, Array] = {}
    for bins in profile.bins:
        if bins.kind == "time":
            continue
        place = positions(frame[bins.name], bins)
        missing = place < 0
        found[f"{bins.name} is missing"] = missing.astype(np.float64)
        if bins.ordered:
            rank = place / max(1, bins.size - 1)
            found[bins.name] = np.where(missing, 0.5, rank)
            continue
        for index, level in enumerate(bins.levels[:MAX_INDICATORS]):
            found[f"{bins.name} = {level}"] = (place == index).astype(np.float64)
    if not found:
        return np.empty((frame.height, 0)), ()
    return np.column_stack(list(found.values())), tuple(found)


def _drawn(rows: Array, sample: int, generator: np.random.Generator) -> Array:
    """A random order, so that folds are random too."""
    return rows[generator.permutation(len(rows))[:sample]].astype(np.float64)


def _one_fold(
    rows: Array, live: NDArray[np.int64], held_out: NDArray[np.bool_]
) -> tuple[float, Array]:
    """AUC on the rows that are held out, and the weight of each feature."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    learnt = rows[~held_out]
    centre, width = learnt.mean(axis=0), learnt.std(axis=0)
    scores = (rows - centre) / np.where(width > 0, width, 1.0)
    scores = np.clip(scores, -LARGEST_SCORE, LARGEST_SCORE)
    # The square of a feature with two values says nothing that the feature does not.
    curved = np.any((rows != rows.min(axis=0)) & (rows != rows.max(axis=0)), axis=0)
    both = np.hstack([scores, scores[:, curved] ** 2])
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=200)
    with warnings.catch_warnings():
        # A fit that ends early is a weaker test, and as valid.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(both[~held_out], live[~held_out])
        auc = roc_auc_score(live[held_out], model.decision_function(both[held_out]))
    straight, square = np.split(np.abs(model.coef_[0]), [rows.shape[1]])
    straight[curved] += square
    return float(auc), straight


def _variance(auc: float, n: int, m: int) -> float:
    """Of an AUC of `n` against `m` rows, by Hanley and McNeil."""
    one, other = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    square = auc**2
    return (auc * (1 - auc) + (m - 1) * (one - square) + (n - 1) * (other - square)) / (n * m)


def _upper_tail(score: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-score))

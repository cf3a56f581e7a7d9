"""Each metric against scikit-learn and against a slow, obvious loop."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from mlops_tasks.evaluation.calibration import calibration_bins
from mlops_tasks.evaluation.metrics import EPSILON, METRICS, Array, point

# Twenty-one possible scores, so that rows tie; 0.5 is one of them.
ROWS = st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 3))
CALLED = {
    "accuracy": sklearn_metrics.accuracy_score,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
}
SCORED = {
    "roc_auc": sklearn_metrics.roc_auc_score,
    "average_precision": sklearn_metrics.average_precision_score,
    "brier_score": sklearn_metrics.brier_score_loss,
    "log_loss": sklearn_metrics.log_loss,
}


def unpacked(rows: list[tuple[int, int, int]]) -> tuple[Array, Array, Array]:
    target, score, weight = np.array(rows, float).T
    return target, score / 20, weight


def reference(name: str, target: Array, score: Array, weight: Array) -> float:
    """What scikit-learn says; NaN where the metric asks for a class that has no weight."""
    positives, negatives = weight[target == 1].sum(), weight[target == 0].sum()
    called = weight[score >= 0.5].sum()
    if not positives + negatives:
        return math.nan
    needed = {
        "roc_auc": positives * negatives,
        "average_precision": positives,
        "recall": positives,
        "precision": called,
    }
    if not needed.get(name, 1):
        return math.nan
    if name in CALLED:
        return float(CALLED[name](target, score >= 0.5, sample_weight=weight))
    if name == "log_loss":
        score = np.clip(score, EPSILON, 1 - EPSILON)
        return float(SCORED[name](target, score, sample_weight=weight, labels=[0, 1]))
    kept = weight > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about one class, where the metric is defined anyway
        return float(SCORED[name](target[kept], score[kept], sample_weight=weight[kept]))


def compute(name: str, target: Array, score: Array, weight: Array) -> float:
    found = METRICS[name].compute(target, score, weight[None, :])
    assert found.shape == (1,)
    return float(found[0])


@pytest.mark.parametrize("name", [*SCORED, *CALLED])
@given(rows=st.lists(ROWS, min_size=1, max_size=40))
@settings(deadline=None)
def test_metric_is_that_of_scikit_learn(name: str, rows: list[tuple[int, int, int]]) -> None:
    target, score, weight = unpacked(rows)
    expected = reference(name, target, score, weight)
    assert compute(name, target, score, weight) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
@given(rows=st.lists(ROWS, min_size=1, max_size=30))
@settings(deadline=None)
def test_a_weight_is_how_often_a_row_is_there(name: str, rows: list[tuple[int, int, int]]) -> None:
    target, score, weight = unpacked(rows)
    times = weight.astype(int)
    weighted = compute(name, target, score, weight)
    if not times.sum():
        assert math.isnan(weighted)
    else:
        repeated = point(name, np.repeat(target, times), np.repeat(score, times))
        assert weighted == pytest.approx(repeated, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
@given(rows=st.lists(ROWS, min_size=2, max_size=30), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_many_resamples_at_once_are_each_on_its_own(
    name: str, rows: list[tuple[int, int, int]], seed: int
) -> None:
    target, score, _ = unpacked(rows)
    weights = np.random.default_rng(seed).integers(0, 3, (5, len(rows))).astype(float)
    together = METRICS[name].compute(target, score, weights)
    alone = [compute(name, target, score, weight) for weight in weights]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


def wins(target: Array, score: Array) -> float:
    """The chance that a positive row scores above a negative one, counted pair by pair."""
    pairs = [(p, n) for p in score[target == 1] for n in score[target == 0]]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


@given(rows=st.lists(ROWS, min_size=2, max_size=20))
@settings(deadline=None)
def test_roc_auc_counts_pairs(rows: list[tuple[int, int, int]]) -> None:
    target, score, _ = unpacked([(0, 3, 1), (1, 3, 1), *rows])
    assert point("roc_auc", target, score) == pytest.approx(wins(target, score))
    assert point("roc_auc", 1 - target, score) == pytest.approx(1 - wins(target, score))


def expected_calibration_error(target: Array, score: Array, weight: Array) -> float:
    total, error = sum(weight), 0.0
    for low in range(10):
        inside = [i for i in range(len(score)) if low / 10 <= score[i] < (low + 1) / 10]
        if low == 9:
            inside += [i for i in range(len(score)) if score[i] == 1]
        size = sum(weight[i] for i in inside)
        if size:
            said = sum(weight[i] * score[i] for i in inside) / size
            came = sum(weight[i] * target[i] for i in inside) / size
            error += size / total * abs(said - came)
    return error


@given(rows=st.lists(ROWS, min_size=1, max_size=40))
@settings(deadline=None)
def test_calibration_error_is_that_of_a_loop_over_bins(rows: list[tuple[int, int, int]]) -> None:
    target, score, weight = unpacked([(1, 20, 1), *rows])
    found = compute("calibration_error", target, score, weight)
    assert found == pytest.approx(expected_calibration_error(target, score, weight), abs=1e-12)


def test_calibration_bins_add_up_to_the_calibration_error() -> None:
    generator = np.random.default_rng(3)
    score = np.r_[generator.uniform(size=500), np.arange(0, 101) / 100]
    target = (generator.uniform(size=len(score)) < score**2).astype(float)
    bins = calibration_bins(target, score, 10)
    error = sum(part.rows * abs(part.mean_score - part.observed_rate) for part in bins)
    assert error / len(score) == pytest.approx(point("calibration_error", target, score))
    assert sum(part.rows for part in bins) == len(score)
    for part in bins:
        last = part.high == 1
        member = (score >= part.low) & ((score <= 1) if last else (score < part.high))
        assert part.rows == member.sum()
        assert part.mean_score == pytest.approx(score[member].mean())
        assert part.observed_rate == pytest.approx(target[member].mean())


def test_empty_calibration_bins_are_left_out() -> None:
    bins = calibration_bins(np.array([0.0, 1.0, 1.0]), np.array([0.05, 0.99, 1.0]), 4)
    assert [(part.low, part.high, part.rows) for part in bins] == [(0.0, 0.25, 1), (0.75, 1.0, 2)]


SCORES = np.array([0.1, 0.4, 0.8])
ONE_CLASS = {
    "only negatives": (
        np.zeros(3),
        {"roc_auc": math.nan, "average_precision": math.nan, "recall": math.nan, "precision": 0},
    ),
    "only positives": (
        np.ones(3),
        {"roc_auc": math.nan, "average_precision": 1.0, "recall": 1 / 3, "precision": 1.0},
    ),
}


@pytest.mark.parametrize("case", ONE_CLASS)
def test_one_class_is_not_a_number_where_two_are_needed(case: str) -> None:
    target, expected = ONE_CLASS[case]
    found = {name: point(name, target, SCORES) for name in expected}
    assert found == pytest.approx(expected, nan_ok=True)


def test_precision_is_not_defined_where_nothing_is_called_positive() -> None:
    assert math.isnan(point("precision", np.array([0.0, 1.0]), np.array([0.1, 0.49])))
    assert point("precision", np.array([0.0, 1.0]), np.array([0.1, 0.5])) == 1.0


def test_only_the_resample_without_a_class_is_not_a_number() -> None:
    target, score = np.array([0.0, 1.0]), np.array([0.2, 0.9])
    found = METRICS["roc_auc"].compute(target, score, np.array([[2.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_array_equal(found, [math.nan, 1.0])


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    worst = -math.log(1e-15)
    assert point("log_loss", np.array([1.0]), np.array([0.0])) == pytest.approx(worst)
    assert point("log_loss", np.array([0.0]), np.array([1.0])) == pytest.approx(worst, rel=1e-2)


def test_directions() -> None:
    """A model that knows is better than one that guesses, in the direction the table says."""
    target = np.tile([0.0, 1.0], 50)
    knows = np.where(target == 1, 0.9, 0.1)
    guesses = np.random.default_rng(0).uniform(size=100)
    for name, metric in METRICS.items():
        gain = point(name, target, knows) - point(name, target, guesses)
        assert (gain > 0) == metric.higher_is_better, name

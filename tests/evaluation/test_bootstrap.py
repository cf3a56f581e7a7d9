"""Intervals against a naive loop over resamples, and what must hold for any of them."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.artifacts import Interval
from mlops_tasks.evaluation import bootstrap
from mlops_tasks.evaluation.bootstrap import intervals, paired_gain
from mlops_tasks.evaluation.metrics import METRICS, Array, point

NAMES = tuple(METRICS)
FINE = {"samples": 200, "confidence": 0.9, "seed": 5}


def simulated(rows: int, seed: int) -> tuple[Array, Array, Array]:
    """Target, a good score and a worse one."""
    generator = np.random.default_rng((99, seed))
    truth = generator.uniform(size=rows)
    target = (generator.uniform(size=rows) < truth).astype(float)
    return target, truth, np.clip(truth + generator.normal(0, 0.4, rows), 0, 1)


def drawn_rows(rows: int, samples: int, seed: int) -> Iterator[Array]:
    for number in range(samples):
        yield np.random.default_rng((seed, number)).integers(0, rows, rows)


def naive_interval(value: float, draws: list[float], confidence: float) -> Interval:
    ordered = sorted(draw for draw in draws if not math.isnan(draw))

    def quantile(share: float) -> float:
        place = share * (len(ordered) - 1)
        low, rest = int(place), place - int(place)
        above = ordered[min(low + 1, len(ordered) - 1)]
        return ordered[low] * (1 - rest) + above * rest

    return Interval(value, quantile((1 - confidence) / 2), quantile((1 + confidence) / 2))


def approx(interval: Interval) -> tuple[object, ...]:
    values = (interval.value, interval.low, interval.high)
    return tuple(pytest.approx(value, abs=1e-9) for value in values)


def ends(interval: Interval | None) -> tuple[float, ...]:
    assert interval is not None
    return (interval.value, interval.low, interval.high)


@pytest.mark.parametrize("rows", [25, 80])
def test_intervals_are_those_of_a_naive_loop(rows: int) -> None:
    target, score, _ = simulated(rows, 1)
    found = intervals(NAMES, target, score, samples=60, confidence=0.8, seed=3)
    for name in NAMES:
        draws = [point(name, target[drawn], score[drawn]) for drawn in drawn_rows(rows, 60, 3)]
        assert ends(found[name]) == approx(naive_interval(point(name, target, score), draws, 0.8))


@pytest.mark.parametrize("name", NAMES)
def test_the_gain_is_that_of_a_naive_loop_on_pairs(name: str) -> None:
    target, good, bad = simulated(50, 2)
    sign = 1 if METRICS[name].higher_is_better else -1

    def gain(rows: Array) -> float:
        own, rival = point(name, target[rows], good[rows]), point(name, target[rows], bad[rows])
        return sign * (own - rival)

    draws = [gain(rows) for rows in drawn_rows(50, 60, 4)]
    expected = naive_interval(gain(np.arange(50)), draws, 0.8)
    found = paired_gain(name, target, good, bad, samples=60, confidence=0.8, seed=4)
    assert ends(found) == approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_better_model_gains(name: str) -> None:
    target = np.tile([0.0, 1.0], 100)
    generator = np.random.default_rng(0)
    good = np.clip(0.15 + 0.7 * target + generator.normal(0, 0.05, 200), 0, 1)
    found = paired_gain(name, target, good, generator.uniform(size=200), **FINE)
    assert found is not None
    assert found.low > 0


@pytest.mark.parametrize("name", [name for name in NAMES if name != "calibration_error"])
def test_the_interval_holds_the_point(name: str) -> None:
    target, score, _ = simulated(300, 3)
    found = intervals((name,), target, score, **FINE)[name]
    assert found.low < found.value < found.high
    assert found.value == point(name, target, score)
    assert found.high - found.low < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_model_gains_exactly_nothing_over_itself(name: str) -> None:
    target, score, _ = simulated(100, 4)
    assert paired_gain(name, target, score, score.copy(), **FINE) == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 100))
@settings(max_examples=5, deadline=None)
def test_what_one_gains_the_other_loses(name: str, seed: int) -> None:
    target, good, bad = simulated(60, seed)
    one = paired_gain(name, target, good, bad, **FINE)
    two = paired_gain(name, target, bad, good, **FINE)
    assert two is not None
    assert ends(one) == approx(Interval(-two.value, -two.high, -two.low))


def test_the_paired_interval_is_narrower_than_two_single_ones() -> None:
    target, score, _ = simulated(400, 5)
    close = np.clip(score + 0.01 * np.random.default_rng(1).normal(size=400), 0, 1)
    gain = paired_gain("roc_auc", target, score, close, **FINE)
    alone = intervals(("roc_auc",), target, score, **FINE)["roc_auc"]
    assert gain is not None
    assert gain.high - gain.low < (alone.high - alone.low) / 4


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    target, score, rival = simulated(100, 6)
    other_seed = FINE | {"seed": 6}
    assert intervals(NAMES, target, score, **FINE) == intervals(NAMES, target, score, **FINE)
    assert intervals(NAMES, target, score, **FINE) != intervals(NAMES, target, score, **other_seed)
    one = paired_gain("roc_auc", target, score, rival, **FINE)
    assert one == paired_gain("roc_auc", target, score, rival, **FINE)
    assert one != paired_gain("roc_auc", target, score, rival, **other_seed)


def test_a_metric_has_the_same_interval_in_any_company() -> None:
    target, score, _ = simulated(100, 6)
    together = intervals(NAMES, target, score, **FINE)
    assert all(
        intervals((name,), target, score, **FINE) == {name: together[name]} for name in NAMES
    )


@pytest.mark.parametrize("cells", [1, 700, 10_000])
def test_the_size_of_a_batch_changes_nothing(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target, score, rival = simulated(100, 7)
    whole = intervals(NAMES, target, score, **FINE)
    gain = paired_gain("log_loss", target, score, rival, **FINE)
    monkeypatch.setattr(bootstrap, "BATCH_CELLS", cells)
    batched = intervals(NAMES, target, score, **FINE)
    # The same resamples; a matrix product may add up in another order.
    assert {name: ends(batched[name]) for name in NAMES} == {
        name: approx(whole[name]) for name in NAMES
    }
    assert ends(paired_gain("log_loss", target, score, rival, **FINE)) == approx(gain)


def test_batches_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "BATCH_CELLS", 1000)
    shapes = [weights.shape for weights in bootstrap._resamples(300, 10, 0)]
    assert shapes == [(3, 300), (3, 300), (3, 300), (1, 300)]


def test_a_wider_confidence_is_a_wider_interval() -> None:
    target, score, _ = simulated(200, 8)
    widths = []
    for confidence in (0.5, 0.8, 0.95, 0.99):
        found = intervals(("roc_auc",), target, score, samples=300, confidence=confidence, seed=1)
        widths.append(found["roc_auc"].high - found["roc_auc"].low)
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] / 2


@pytest.mark.parametrize("name", ["accuracy", "brier_score", "roc_auc"])
def test_about_95_of_100_intervals_hold_the_truth(name: str) -> None:
    target, score, _ = simulated(200_000, 0)
    truth = point(name, target, score)
    hits = 0
    for number in range(100):
        rows = slice(number * 200, (number + 1) * 200)
        found = intervals(
            (name,), target[rows], score[rows], samples=200, confidence=0.95, seed=number
        )[name]
        hits += found.low <= truth <= found.high
    assert 87 <= hits <= 100


def test_what_is_not_defined_is_left_out() -> None:
    score = np.linspace(0, 0.4, 30)
    found = intervals(NAMES, np.zeros(30), score, **FINE)
    assert set(found) == {"log_loss", "brier_score", "accuracy", "calibration_error"}
    assert paired_gain("roc_auc", np.zeros(30), score, score[::-1], **FINE) is None
    assert intervals(NAMES, np.zeros(0), np.zeros(0), **FINE) == {}


def test_a_metric_that_is_defined_in_few_resamples_has_no_interval() -> None:
    """One positive among 30 rows is missing from about 36 % of the resamples."""
    target, score = np.zeros(30), np.linspace(0, 1, 30)
    target[7] = 1
    assert not math.isnan(point("roc_auc", target, score))
    assert "roc_auc" not in intervals(NAMES, target, score, **FINE)
    target[[8, 20]] = 1  # now missing from 4 %
    found = intervals(NAMES, target, score, **FINE)["roc_auc"]
    assert found.low <= found.value <= found.high
    assert not math.isnan(found.low + found.high)

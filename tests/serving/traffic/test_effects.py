"""Effect sizes against slow counting and scipy; the interval against what is true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from mlops_tasks.evaluation.metrics import point
from mlops_tasks.serving.traffic.effects import distance, independent_gain, shift

# Few values: ties must be right.
SAMPLES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30).map(np.array)


@given(SAMPLES, SAMPLES)
def test_shift_counts_pairs(own: np.ndarray, rival: np.ndarray) -> None:
    pairs = [np.sign(one - two) for one in own for two in rival]
    assert shift(own, rival) == pytest.approx(np.mean(pairs))


@given(SAMPLES, SAMPLES)
def test_distance_is_smirnovs(own: np.ndarray, rival: np.ndarray) -> None:
    assert distance(own, rival) == pytest.approx(ks_2samp(own, rival).statistic)


def sample(rng: np.random.Generator, rows: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    target = rng.integers(0, 2, rows).astype(float)
    return target, np.clip(target * 0.3 + 0.35 + rng.normal(0, noise, rows), 0, 1)


def test_the_interval_holds_the_true_difference_and_has_the_right_sign() -> None:
    rng = np.random.default_rng(3)
    truth = point("roc_auc", *sample(rng, 200_000, 0.2)) - point(
        "roc_auc", *sample(rng, 200_000, 0.4)
    )
    assert truth > 0.05
    held = 0
    for seed in range(100):
        own, rival = sample(rng, 200, 0.2), sample(rng, 300, 0.4)
        found = independent_gain("roc_auc", own, rival, samples=100, confidence=0.9, seed=seed)
        assert found
        assert found.low <= found.value <= found.high
        held += found.low <= truth <= found.high
    assert 80 <= held <= 98, "about 90 of 100"


def test_a_loss_counts_the_other_way_and_the_same_seed_says_the_same() -> None:
    rng = np.random.default_rng(4)
    own, rival = sample(rng, 400, 0.1), sample(rng, 400, 0.6)
    found = [
        independent_gain("log_loss", own, rival, samples=100, confidence=0.9, seed=1)
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert found[0]
    assert found[0].low > 0, "a smaller loss is a gain"
    expected = point("log_loss", *rival) - point("log_loss", *own)
    assert found[0].value == pytest.approx(expected)


def test_no_interval_where_the_metric_is_not_defined() -> None:
    ones = (np.ones(50), np.linspace(0, 1, 50))
    both = (np.arange(50) % 2.0, np.linspace(0, 1, 50))
    assert independent_gain("roc_auc", ones, both, samples=50, confidence=0.9, seed=1) is None
    assert independent_gain("roc_auc", both, ones, samples=50, confidence=0.9, seed=1) is None

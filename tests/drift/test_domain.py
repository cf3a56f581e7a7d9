"""The classifier two-sample test: what it sees, and how often chance looks like drift."""

import numpy as np
import polars as pl
import pytest

from mlops_tasks.drift.domain import domain_drift, features_of
from mlops_tasks.drift.profile import profile_of
from mlops_tasks.errors import DataError


def cloud(
    rows: int, seed: int, *, shift: float = 0.0, scale: float = 1.0, width: int = 32
) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, size=(rows, width))


def test_without_drift_small_p_values_are_rare():
    found = [
        domain_drift(cloud(300, seed, width=8), cloud(150, seed + 1_000, width=8), seed=seed)
        for seed in range(100)
    ]
    p_values = np.array([each.p_value for each in found])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p_values <= level) <= level + 3 * np.sqrt(level * (1 - level) / 100)
    assert np.mean([each.auc.value for each in found]) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("change", [{"shift": 0.2}, {"scale": 1.3}])
def test_a_cloud_that_moved_or_widened_a_little_everywhere_is_seen(change: dict[str, float]):
    found = domain_drift(cloud(1_000, 0), cloud(500, 1, **change), seed=0)
    assert found.p_value < 1e-6
    assert found.auc.value > 0.6
    assert found.auc.low < found.auc.value < found.auc.high


def test_the_same_seed_gives_the_same_and_the_sample_is_a_limit():
    old, new = cloud(900, 0), cloud(400, 1, shift=0.1)
    first = domain_drift(old, new, seed=3, sample=200)
    assert first == domain_drift(old, new, seed=3, sample=200)
    assert first != domain_drift(old, new, seed=4, sample=200)
    assert (first.reference_rows, first.window_rows) == (200, 200)


def test_the_features_that_tell_them_apart_are_named():
    new = cloud(500, 1)
    new[:, 7] += 1.0
    names = tuple(f"x{number}" for number in range(32))
    assert domain_drift(cloud(800, 0), new, seed=0, names=names).strongest[0] == "x7"


def test_too_few_rows_know_nothing():
    found = domain_drift(cloud(800, 0), cloud(5, 1, shift=9.0), seed=0)
    assert (found.auc.value, found.p_value) == (0.5, 1.0)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="same features"):
        domain_drift(cloud(10, 0), cloud(10, 0)[:, :3], seed=0)
    with pytest.raises(DataError, match="infinite"):
        domain_drift(cloud(100, 0), cloud(100, 0) * np.inf, seed=0)


def test_rows_become_ranks_and_indicators():
    reference = pl.DataFrame(
        {
            "x": [float(number) for number in range(100)],
            "city": ["Rome"] * 70 + ["Oslo"] * 30,
            "at": pl.Series(range(100)).cast(pl.Datetime("us")),
        }
    )
    profile = profile_of(reference, ("x", "city", "at"))
    rows = pl.DataFrame(
        {"x": [-5.0, 50.0, 1e9, None], "city": ["Rome", "Lima", None, "Oslo"], "at": [None] * 4}
    )
    features, names = features_of(rows, profile)
    assert names == ("x is missing", "x", "city is missing", "city = Rome", "city = Oslo")
    assert features[:, 0].tolist() == [0, 0, 0, 1]
    assert features[:, 1] == pytest.approx([0.0, 0.5, 1.0, 0.5], abs=0.05)
    assert features[:, 2:].tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    nothing, none = features_of(rows, profile_of(reference, ("at",)))
    assert (nothing.shape, none) == ((4, 0), ())
    assert domain_drift(nothing, nothing, seed=0).p_value == 1.0

"""P-values against scipy, and against how often chance is that large."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlops_tasks.drift import significance
from mlops_tasks.drift.bins import Array
from mlops_tasks.drift.counting import bins_and_tally, tally
from mlops_tasks.drift.questions import about_values, effects_of
from mlops_tasks.settings.monitoring import DriftRules
from tests.drift.test_counting import numbers
from tests.drift.test_distances import SIDES


@given(SIDES)
def test_chi_square_is_what_scipy_says(sides: tuple[Array, Array]):
    table = np.array(sides)[:, sides[0] + sides[1] > 0]
    expected = 1.0
    if table.shape[1] > 1:
        expected = stats.chi2_contingency(table, correction=False).pvalue
    assert significance.chi_square_p(*sides) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.floats(0, 1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_kolmogorov_is_the_limit_that_scipy_has(largest: float, n: int, m: int):
    expected = stats.kstwobign.sf(largest * np.sqrt(n * m / (n + m)))
    assert significance.kolmogorov_p(largest, n, m) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_kolmogorov_is_close_to_the_exact_test_on_many_rows():
    draw = np.random.default_rng(0)
    for shift in (0.0, 0.03, 0.06):
        found = stats.ks_2samp(draw.normal(size=3000), draw.normal(shift, 1, size=3000))
        ours = significance.kolmogorov_p(float(found.statistic), 3000, 3000)
        assert ours == pytest.approx(found.pvalue, abs=0.03)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_the_exact_test_is_twice_the_smaller_tail(found: int, more: int, share: float):
    of = found + more
    chances = stats.binom.pmf(np.arange(of + 1), of, share)
    tails = min(chances[: found + 1].sum(), chances[found:].sum())
    expected = min(1.0, 2 * tails)
    assert significance.exact_p(found, of, share) == pytest.approx(expected, rel=1e-9, abs=1e-200)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_adjusted_p_values_are_what_scipy_says(p_values: list[float]):
    expected = stats.false_discovery_control(p_values, method="bh")
    assert significance.adjusted(p_values) == pytest.approx(expected.tolist())


def test_nothing_asked_is_nothing_found():
    assert significance.adjusted([]) == ()
    assert significance.smallest([]) == 1.0
    assert significance.exact_p(0, 0, 0.5) == 1.0


def test_a_constant_that_stays_is_no_evidence_of_anything():
    """A p-value of zero would make those of all other columns look better, too."""
    bins, before = bins_and_tally(numbers([1.0] * 500), "number")
    after = tally(numbers([1.0] * 500), bins)
    asked = about_values(bins, before, after, effects_of(bins, before, after), DriftRules())
    assert (asked.p_value, asked.effect) == (1.0, 0.0)


@pytest.mark.parametrize("kind", ["normal", "skewed", "counts", "levels"])
@pytest.mark.parametrize("rows", [(1000, 200), (300, 1000)])
def test_without_drift_small_p_values_are_rare(kind: str, rows: tuple[int, int]):
    """Of 300 pairs of samples at most those that a valid test has, plus three standard errors."""
    draw = np.random.default_rng(0)
    shares = 1 / np.arange(1, 201)
    shapes = {
        "normal": lambda n: draw.normal(size=n),
        "skewed": lambda n: draw.lognormal(0, 2, size=n),
        "counts": lambda n: draw.poisson(3.0, size=n),
        "levels": lambda n: draw.choice(200, n, p=shares / shares.sum()),
    }
    found, rules = [], DriftRules()
    for _ in range(300):
        old, new = (numbers(shapes[kind](n).astype(float).tolist()) for n in rows)
        bins, before = bins_and_tally(old, "category" if kind == "levels" else "number")
        after = tally(new, bins)
        asked = about_values(bins, before, after, effects_of(bins, before, after), rules)
        assert asked.p_value is not None
        found.append(asked.p_value)
    for level in (0.01, 0.05, 0.2):
        most = level + 3 * np.sqrt(level * (1 - level) / 300)
        assert np.mean(np.array(found) <= level) <= most

"""Effect sizes against scipy, against loops, and against what chance does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_tasks.drift import distances
from mlops_tasks.drift.bins import Array, Bins
from mlops_tasks.drift.cells import cells
from mlops_tasks.drift.counting import bins_and_tally, tally
from tests.drift.test_counting import numbers

SIDES = st.integers(2, 12).flatmap(
    lambda size: st.tuples(
        *[
            st.lists(st.integers(0, 300), min_size=size, max_size=size)
            .filter(any)
            .map(lambda rows: np.array(rows, np.float64))
            for _ in range(2)
        ]
    )
)
SAMPLE = st.lists(
    st.one_of(st.floats(-100, 100, width=32), st.sampled_from([0.0, 1.0, 2.0])),
    min_size=1,
    max_size=80,
)


def psi_by_loop(reference: Array, window: Array) -> float:
    found = 0.0
    for old, new in zip(reference, window, strict=True):
        if old + new:
            p, q = max(old, 0.5) / reference.sum(), max(new, 0.5) / window.sum()
            found += (q - p) * math.log(q / p)
    return found


@given(SIDES)
def test_psi_is_the_sum_of_a_loop_and_the_same_both_ways(sides: tuple[Array, Array]):
    found = distances.psi(*sides)
    assert found == pytest.approx(max(0.0, psi_by_loop(*sides)), abs=1e-12)
    assert found == pytest.approx(distances.psi(*sides[::-1]), abs=1e-12)


@given(SIDES)
def test_jensen_shannon_is_what_scipy_says(sides: tuple[Array, Array]):
    # Of nearly equal samples scipy takes the root of what rounding has left.
    assert distances.jensen_shannon(*sides) == pytest.approx(
        float(np.nan_to_num(jensenshannon(*sides, base=2))), abs=1e-7
    )


@given(SIDES)
def test_cramers_v_is_that_of_scipy_on_equally_large_samples(sides: tuple[Array, Array]):
    old, new = (each / each.sum() * 1000 for each in sides)
    table = np.array([old, new])[:, old + new > 0]
    expected = 0.0
    if table.shape[1] > 1:
        expected = math.sqrt(stats.chi2_contingency(table, correction=False).statistic / 2000)
    assert distances.cramers_v(*sides) == pytest.approx(expected, abs=1e-6)


@given(SIDES)
def test_a_correction_only_takes_away_and_nothing_is_negative(sides: tuple[Array, Array]):
    for effect in (distances.psi, distances.jensen_shannon, distances.cramers_v):
        assert 0 <= effect(*sides, corrected=True) <= effect(*sides)


@given(SAMPLE, SAMPLE)
@settings(max_examples=200)
def test_the_unbinned_distances_of_scipy_are_within_the_bounds(old: list[float], new: list[float]):
    bins, before = bins_and_tally(numbers(old), "number")
    after = tally(numbers(new), bins)
    a, b = (np.array(each.counts, np.float64) for each in (before, after))
    found = distances.kolmogorov_smirnov(a, b)
    exact = float(stats.ks_2samp(old, new, method="asymp").statistic)
    assert found.low - 1e-12 <= exact <= found.high + 1e-12
    assert found.value == found.low
    low, high = min(old + new), max(old + new)
    moved = distances.wasserstein(bins.edges, a, b, low=low, high=high)
    exact = float(stats.wasserstein_distance(old, new))
    assert moved.low - 1e-9 <= exact <= moved.high + 1e-9
    assert moved.low - 1e-9 <= moved.value <= moved.high + 1e-9


def test_on_many_rows_binned_distances_are_close_to_unbinned_ones():
    draw = np.random.default_rng(0)
    old, new = draw.normal(size=20_000), draw.normal(0.3, 1.2, size=5_000)
    bins, before = bins_and_tally(numbers(old.tolist()), "number")
    after = tally(numbers(new.tolist()), bins)
    a, b = (np.array(each.counts, np.float64) for each in (before, after))
    low, high = min(old.min(), new.min()), max(old.max(), new.max())
    moved = distances.wasserstein(bins.edges, a, b, low=low, high=high).value
    assert moved == pytest.approx(stats.wasserstein_distance(old, new), rel=0.1)
    largest = distances.kolmogorov_smirnov(a, b).value
    assert largest == pytest.approx(stats.ks_2samp(old, new).statistic, rel=0.05)
    width = distances.spread(bins.edges, a, low=old.min(), high=old.max())
    assert width == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("rows", [(5_000, 200), (5_000, 2_000), (300, 300)])
def test_without_drift_the_corrected_psi_is_around_zero(rows: tuple[int, int]):
    """What is subtracted is what chance adds, within the error of 400 samples."""
    draw = np.random.default_rng(1)
    shares = np.arange(1, 17) / np.arange(1, 17).sum()
    pairs = [[draw.multinomial(n, shares).astype(float) for n in rows] for _ in range(400)]
    for effect, factor in ((distances.psi, 1), (distances.jensen_shannon, 1 / (8 * math.log(2)))):
        raw = np.array([effect(*pair) for pair in pairs])
        raw = raw**2 if effect is distances.jensen_shannon else raw
        chance = np.mean([distances.sampling_error(*pair) * factor for pair in pairs])
        assert raw.mean() == pytest.approx(chance, rel=0.12)
    assert np.mean([distances.psi(*pair, corrected=True) > 0.1 for pair in pairs]) < 0.03


def test_the_size_of_a_shift_does_not_depend_on_the_rows_of_the_window():
    old, new = np.array([4000.0, 4000, 2000]), np.array([0.2, 0.3, 0.5])
    for effect in (distances.psi, distances.jensen_shannon, distances.cramers_v):
        small, large = (effect(old, new * rows) for rows in (200, 200_000))
        assert small == pytest.approx(large)


@pytest.mark.parametrize(
    ("values", "width"),
    [([1.0, 1.0, 1.0], 1.0), ([0.0] * 9 + [4.0], 4.0), ([float(x) for x in range(101)], 37.07)],
)
def test_the_spread_of_a_constant_is_one_and_of_a_lonely_outlier_the_range(values, width):
    bins, found = bins_and_tally(numbers(values), "number")
    rows = np.array(found.counts, np.float64)
    spread = distances.spread(bins.edges, rows, low=min(values), high=max(values))
    assert spread == pytest.approx(width, rel=0.03)


@given(SIDES, st.booleans())
def test_joined_cells_keep_all_rows_and_expect_enough(sides: tuple[Array, Array], ordered: bool):
    old, new = sides
    size = len(old) - 1
    bins = (
        Bins("x", "number", edges=tuple(float(x) for x in range(size)))
        if ordered
        else Bins("x", "category", levels=tuple(str(x) for x in range(size)))
    )
    found = cells(bins, tuple(old), tuple(new))
    assert found.window.sum() + found.rare_window == new.sum()
    lent = found.reference.sum() + found.rare_reference - old.sum()
    assert lent >= 0
    if not np.any(new[old == 0]):
        assert lent == 0
    share = min(old.sum(), new.sum()) / (old.sum() + new.sum())
    if len(found.reference) > 1:
        assert np.all((found.reference + found.window) * share >= 5)


def test_what_a_reference_has_not_met_is_held_against_what_it_met_once():
    """The next rows of the same population have new values, too: that alone is no drift."""
    range_of = Bins("x", "number", edges=(0.0, 1.0))
    beyond = cells(range_of, (0, 300, 0), (5, 280, 15))
    assert (beyond.rare_reference, beyond.rare_window) == (1.0, 20.0)
    within = cells(range_of, (0, 300, 0), (0, 300, 0))
    assert (within.rare_reference, within.rare_window) == (0.0, 0.0)
    towns = Bins("x", "category", levels=("a", "b", "c"))
    new = cells(towns, (298, 1, 1, 0), (280, 0, 0, 20))
    assert (new.rare_reference, new.rare_window) == (4.0, 20.0)  # b and c, and as many lent
    known = cells(towns, (298, 1, 1, 0), (300, 0, 0, 0))
    assert (known.rare_reference, known.rare_window) == (2.0, 0.0)

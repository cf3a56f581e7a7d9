"""Bins and counts against loops that anyone can check."""

import hashlib
import math
from collections import Counter
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.drift.bins import Bins, Tally
from mlops_tasks.drift.counting import bins_and_tally, kind_of, positions, tally

# Few different values, so that they tie, among any others.
NUMBERS = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]),
        st.floats(width=32),
    ),
    max_size=60,
)
LEVELS = st.lists(
    st.one_of(st.none(), st.sampled_from(["a", "b", "é", ""]), st.text(max_size=3)), max_size=60
)


def numbers(values: list[float | None]) -> pl.Series:
    return pl.Series("x", values, pl.Float64)


def bin_of(value: float | None, edges: tuple[float, ...]) -> int:
    """A loop over the edges; -1 where there is no value."""
    if value is None or math.isnan(value):
        return -1
    clipped = min(max(value, -1e150), 1e150)
    return sum(edge < clipped for edge in edges)


@given(NUMBERS, NUMBERS)
def test_numbers_are_counted_as_by_a_loop(known: list[float | None], seen: list[float | None]):
    bins, reference = bins_and_tally(numbers(known), "number")
    for values, found in ((known, reference), (seen, tally(numbers(seen), bins))):
        places = [bin_of(value, bins.edges) for value in values]
        assert positions(numbers(values), bins).tolist() == places
        assert found.counts == tuple(places.count(number) for number in range(bins.size))
        assert found.missing == places.count(-1)
        present = [min(max(x, -1e150), 1e150) for x in values if x is not None and x == x]
        assert (found.low, found.high) == (min(present, default=None), max(present, default=None))


@given(LEVELS, LEVELS)
def test_levels_are_counted_as_by_a_loop(known: list[str | None], seen: list[str | None]):
    bins, _ = bins_and_tally(pl.Series("x", known, pl.String), "category")
    found = tally(pl.Series("x", seen, pl.String), bins)
    rows = Counter(name for name in seen if name is not None)
    assert found.counts[:-1] == tuple(rows[name] for name in bins.levels)
    others = {name: count for name, count in rows.items() if name not in bins.levels}
    assert dict(found.others) == others
    assert found.counts[-1] == sum(others.values())
    assert found.missing == seen.count(None)
    order = {name: number for number, name in enumerate(bins.levels)}
    places = [-1 if name is None else order.get(name, len(order)) for name in seen]
    assert positions(pl.Series("x", seen, pl.String), bins).tolist() == places


@given(NUMBERS, NUMBERS, NUMBERS)
def test_tallies_of_numbers_add_up(known, first, second):
    bins, _ = bins_and_tally(numbers(known), "number")
    together = tally(numbers(first + second), bins)
    assert tally(numbers(first), bins) + tally(numbers(second), bins) == together


@given(st.data())
@settings(max_examples=30)
def test_tallies_of_levels_add_up_also_where_not_all_others_are_named(data: st.DataObject):
    bins = Bins("x", "category", levels=("0", "1"))
    parts = st.lists(st.integers(0, 700).map(str), min_size=200, max_size=400, unique=True)
    first, second = (pl.Series("x", data.draw(parts)) for _ in range(2))
    assert tally(first, bins) + tally(second, bins) == tally(pl.concat([first, second]), bins)


@given(st.lists(st.floats(-1e6, 1e6), min_size=400, max_size=600, unique=True))
@settings(max_examples=20)
def test_bins_of_many_values_have_equal_frequency_and_open_ends(values: list[float]):
    bins, found = bins_and_tally(numbers(values), "number")
    assert (bins.edges[1], bins.edges[-1]) == (min(values), max(values))
    assert found.counts[0] == found.counts[-1] == 0
    inner = found.counts[2:-1]
    assert len(inner) == 32
    assert max(inner) - min(inner) <= 2


def test_a_value_that_is_frequent_has_a_bin_of_its_own():
    values = [0.0] * 500 + [float(x) for x in range(1, 501)]
    bins, found = bins_and_tally(numbers(values), "number")
    assert found.counts[int(positions(numbers([0.0]), bins)[0])] == 500
    assert tally(numbers([-1e-300] * 7), bins).counts[0] == 7


def test_a_constant_that_moves_falls_elsewhere():
    bins, found = bins_and_tally(numbers([5.0] * 10), "number")
    assert found.counts == (0, 10, 0)
    assert tally(numbers([5.0000001] * 3), bins).counts == (0, 0, 3)


def test_frequent_levels_are_named_and_rare_ones_are_not():
    common = ["US"] * 500 + ["DE"] * 300
    secrets = [f"customer {number}" for number in range(20)]
    bins, found = bins_and_tally(pl.Series("x", common + secrets), "category")
    assert bins.levels == ("US", "DE")
    assert found.counts == (500, 300, 20)
    assert found.others == ()


def test_a_long_level_goes_by_its_hash_and_the_frame_stays_as_it_was():
    long = "x" * 65
    frame = pl.DataFrame({"x": [long, "short"] * 30})
    bins, _ = bins_and_tally(frame["x"], "category")
    assert set(bins.levels) == {"short", f"sha256:{hashlib.sha256(long.encode()).hexdigest()}"}
    assert positions(frame["x"], bins).tolist() == positions(frame["x"], bins).tolist()
    assert tally(frame["x"], bins).counts == (30, 30, 0)
    assert frame["x"].to_list() == [long, "short"] * 30


def test_a_category_of_whole_numbers_is_the_same_as_floats():
    """Pandas and polars make floats of integers where some are missing."""
    bins, _ = bins_and_tally(pl.Series("x", [1, 2] * 30), "category")
    found = tally(pl.Series("x", [1.0, 2.0, None, math.nan, 2.5]), bins)
    assert found == Tally(2, (1, 1, 1), others=(("2.5", 1),))


def test_times_are_the_same_in_every_unit():
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    micro = pl.Series("x", [moment] * 3, pl.Datetime("us", "UTC"))
    bins, found = bins_and_tally(micro, "time")
    assert tally(micro.cast(pl.Datetime("ms", "UTC")), bins) == found
    days = pl.Series("x", [date(2026, 3, 1)])
    assert tally(days, bins).low == 1_772_323_200_000_000.0


def test_an_empty_reference_has_one_bin():
    for kind, size in (("number", 1), ("category", 1), ("boolean", 3)):
        bins, found = bins_and_tally(pl.Series("x", [None, None]), kind)
        assert (bins.size, found.missing, found.present) == (size, 2, 0)


@pytest.mark.parametrize(
    ("dtype", "categorical", "kind"),
    [
        (pl.Boolean(), False, "boolean"),
        (pl.Boolean(), True, "category"),
        (pl.Int8(), False, "number"),
        (pl.Int8(), True, "category"),
        (pl.Decimal(10, 2), False, "number"),
        (pl.Enum(["a"]), False, "category"),
        (pl.Categorical(), False, "category"),
        (pl.Date(), False, "time"),
        (pl.Duration(), False, "number"),
        (pl.List(pl.Int8()), False, None),
        (pl.Binary(), False, None),
    ],
)
def test_a_type_says_how_it_is_counted(dtype: pl.DataType, categorical: bool, kind: str | None):
    assert kind_of(dtype, categorical=categorical) == kind
    if kind is not None:
        bins, found = bins_and_tally(pl.Series("x", [None], dtype), kind)
        assert found.missing == 1
        assert positions(pl.Series("x", [None], dtype), bins).tolist() == [-1]


@pytest.mark.parametrize("values", [[1, 2, 3], [True, False], ["a", "b"], [np.float32(0.5)]])
def test_every_value_has_a_place(values: list[object]):
    series = pl.Series("x", values * 30)
    kind = kind_of(series.dtype)
    assert kind is not None
    bins, found = bins_and_tally(series, kind)
    places = np.bincount(positions(series, bins), minlength=bins.size)
    assert tuple(places.tolist()) == found.counts


def test_bins_and_tallies_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        Bins("x", "number", edges=(1.0, 1.0))
    with pytest.raises(ValueError, match="ascend"):
        Bins("x", "number", edges=(math.nan,))
    with pytest.raises(ValueError, match="twice"):
        Bins("x", "category", levels=("a", "a"))
    with pytest.raises(ValueError, match="fewer"):
        Tally(0, (1, -1))

"""What each kind of split promises, on any rows that hypothesis can think of."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.artifacts import Code, Columns
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.data.splits import comparison_mask, split, uniform_by_hash
from mlops_tasks.errors import DataError
from mlops_tasks.settings import DataSettings

START = datetime(2013, 1, 1)
KINDS = ("time", "random", "stratified", "grouped")
COLUMNS = Columns(("id",), "late", ("miles",), (), time="when", group="plane")


class Rows(dy.Schema):
    id = dy.Int64(primary_key=True)
    when = dy.Datetime(nullable=False)
    plane = dy.String(nullable=False)
    miles = dy.Float64()
    late = dy.Int64(nullable=False)


CONTRACT = Code(f"{__name__}:Rows", "d" * 64)
# Few moments and planes, so that rows tie and groups are large.
FRAMES = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.integers(0, 30), st.sampled_from("ABCDEFGH"), st.booleans()
    ),
    min_size=1,
    max_size=80,
    unique_by=lambda row: row[0],
).map(
    lambda rows: pl.DataFrame(
        {
            "id": [row[0] for row in rows],
            "when": [START + timedelta(hours=row[1]) for row in rows],
            "plane": [row[2] for row in rows],
            "miles": [1.0] * len(rows),
            "late": [int(row[3]) for row in rows],
        }
    )
)
FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32 - 1)


def data(kind: str, fraction: float) -> DataSettings:
    return DataSettings(
        path="rows",
        target="late",
        time="when",
        group="plane",
        split={"kind": kind, "comparison_fraction": fraction},
    )


def held_back(frame: pl.DataFrame, kind: str, fraction: float, seed: int) -> dict[int, bool]:
    mask = comparison_mask(frame, COLUMNS, data(kind, fraction), seed)
    assert mask.dtype == pl.Boolean
    assert len(mask) == frame.height
    assert mask.null_count() == 0
    return dict(zip(frame["id"], mask, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@given(frame=FRAMES, fraction=FRACTIONS, seed=SEEDS)
@settings(deadline=None)
def test_every_row_has_a_side_and_order_does_not_matter(
    kind: str, frame: pl.DataFrame, fraction: float, seed: int
) -> None:
    sides = held_back(frame, kind, fraction, seed)
    assert held_back(frame.reverse(), kind, fraction, seed) == sides
    assert held_back(frame.sort("late", "when"), kind, fraction, seed) == sides


def large(rows: int = 400) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "when": [START + timedelta(minutes=number) for number in range(rows)],
            "plane": generator.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), rows),
            "miles": generator.uniform(size=rows),
            "late": generator.integers(0, 2, rows),
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_two_parts_are_disjoint_and_complete(kind: str, tmp_path: Path) -> None:
    frame, store = large(), str(tmp_path)
    raw = write_frame(frame, store, regions=("north",), dvc_rev="5" * 32)
    found = split(raw, CONTRACT, data(kind, 0.25), 7, store=store)
    train, comparison = read_frame(found.train), read_frame(found.comparison)
    assert pl.concat([train, comparison]).sort("id").equals(frame)
    assert not set(train["id"]) & set(comparison["id"])
    assert 0.15 < comparison.height / frame.height < 0.35
    assert (found.train.rows, found.comparison.rows) == (train.height, comparison.height)
    assert (found.kind, found.columns) == (kind, COLUMNS)
    for part in (found.train, found.comparison):
        assert (part.regions, part.dvc_rev) == (("north",), "5" * 32)
    assert split(raw, CONTRACT, data(kind, 0.25), 7, store=store) == found


@given(frame=FRAMES, fraction=FRACTIONS, seed=SEEDS)
@settings(deadline=None)
def test_no_training_row_is_later_than_a_comparison_row(
    frame: pl.DataFrame, fraction: float, seed: int
) -> None:
    sides = held_back(frame, "time", fraction, seed)
    moments = dict(zip(frame["id"], frame["when"], strict=True))
    train = [moments[row] for row, held in sides.items() if not held]
    comparison = [moments[row] for row, held in sides.items() if held]
    assert comparison
    # Strictly: the rows of one moment go together.
    assert all(moment < min(comparison) for moment in train)
    # As few as the fraction and the ties allow.
    later = [moment for moment in comparison if moment > min(comparison)]
    assert len(later) <= fraction * frame.height + 0.5


def test_time_holds_back_the_latest_rows_whatever_the_seed() -> None:
    frame = large(100)
    expected = {row: row >= 75 for row in range(100)}
    assert held_back(frame, "time", 0.25, 1) == held_back(frame, "time", 0.25, 2) == expected


def test_rows_at_the_cutting_moment_go_to_the_comparison_set() -> None:
    frame = large(100).with_columns(
        when=pl.when(pl.col("id").is_between(60, 80))
        .then(START + timedelta(hours=1))
        .otherwise("when")
    )
    assert held_back(frame, "time", 0.25, 1) == {row: row >= 60 for row in range(100)}


@pytest.mark.parametrize("kind", ["random", "grouped"])
@given(frame=FRAMES, more=FRAMES, fraction=FRACTIONS, seed=SEEDS)
@settings(deadline=None)
def test_a_row_keeps_its_side_when_others_come_and_go(
    kind: str, frame: pl.DataFrame, more: pl.DataFrame, fraction: float, seed: int
) -> None:
    sides = held_back(frame, kind, fraction, seed)
    grown = pl.concat([more.filter(~pl.col("id").is_in(frame["id"].implode())), frame])
    after = held_back(grown, kind, fraction, seed)
    assert {row: after[row] for row in sides} == sides
    shrunk = frame[::2]
    assert held_back(shrunk, kind, fraction, seed) == {row: sides[row] for row in shrunk["id"]}


@pytest.mark.parametrize("kind", ["random", "grouped"])
@given(frame=FRAMES, one=FRACTIONS, two=FRACTIONS, seed=SEEDS)
@settings(deadline=None)
def test_a_larger_fraction_only_adds_to_the_comparison_set(
    kind: str, frame: pl.DataFrame, one: float, two: float, seed: int
) -> None:
    small = held_back(frame, kind, min(one, two), seed)
    big = held_back(frame, kind, max(one, two), seed)
    assert all(big[row] for row, held in small.items() if held)


@given(frame=FRAMES, fraction=FRACTIONS, seed=SEEDS)
@settings(deadline=None)
def test_stratified_holds_back_the_share_of_each_class_to_within_a_row(
    frame: pl.DataFrame, fraction: float, seed: int
) -> None:
    sides = held_back(frame, "stratified", fraction, seed)
    classes = dict(zip(frame["id"], frame["late"], strict=True))
    rows = Counter(classes.values())
    held = Counter(classes[row] for row, side in sides.items() if side)
    for each, count in rows.items():
        assert abs(held[each] - fraction * count) <= 0.5 + 1e-9


@given(frame=FRAMES, fraction=FRACTIONS, seed=SEEDS)
@settings(deadline=None)
def test_groups_are_never_divided(frame: pl.DataFrame, fraction: float, seed: int) -> None:
    sides = held_back(frame, "grouped", fraction, seed)
    by_group: dict[str, set[bool]] = {}
    for row, plane in zip(frame["id"], frame["plane"], strict=True):
        by_group.setdefault(plane, set()).add(sides[row])
    assert all(len(found) == 1 for found in by_group.values())


@pytest.mark.parametrize("kind", ["random", "stratified", "grouped"])
def test_another_seed_is_another_split(kind: str) -> None:
    assert held_back(large(), kind, 0.3, 1) != held_back(large(), kind, 0.3, 2)


def test_stratified_does_not_hold_back_by_order_or_key() -> None:
    sides = held_back(large(), "stratified", 0.5, 3)
    assert 60 < sum(sides[row] for row in range(200)) < 140


def test_draws_are_pinned() -> None:
    """Were they to change, every random split would change with them, and silently."""
    keys = pl.DataFrame({"id": ["UA1592-EWR-20130101T0830", "", "ä"], "leg": [1, 2, None]})
    assert uniform_by_hash(keys, 20130101).tolist() == [
        0.6952189664977304,
        0.19616990835891426,
        0.050132053290865564,
    ]
    assert uniform_by_hash(keys.select("leg"), 0).tolist() == [
        0.9647866495940683,
        0.10919374017742965,
        0.3259252098908702,
    ]
    assert uniform_by_hash(keys.head(0), 0).shape == (0,)


def test_draws_are_uniform_and_independent_of_the_seed() -> None:
    keys = pl.DataFrame({"id": range(20_000)})
    one, two = uniform_by_hash(keys, 1), uniform_by_hash(keys, 2)
    for draws in (one, two):
        assert draws.min() >= 0
        assert draws.max() < 1
        counts = np.histogram(draws, 20, (0, 1))[0]
        # Chi-squared with 19 degrees of freedom is above 43.8 once in a thousand times.
        assert ((counts - 1_000) ** 2 / 1_000).sum() < 43.8
    assert len(set(one)) == 20_000
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.03


def test_every_part_of_the_key_counts() -> None:
    keys = pl.DataFrame({"a": ["x", "x", "xy", "x"], "b": ["y", "z", "", "y"]})
    draws = uniform_by_hash(keys, 0)
    assert draws[0] == draws[3]
    assert len(set(draws)) == 3


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("time", {"when": START}, "training part would have 0 rows"),
        ("grouped", {"plane": "A"}, "would have 0 rows and 0 classes"),
        ("time", {"late": pl.col("id").ge(300).cast(pl.Int64)}, "training part would have 300"),
        (
            "time",
            {"late": (pl.col("id") % 2 * (pl.col("id") < 300))},
            "comparison part would have 100",
        ),
    ],
)
def test_a_part_that_cannot_be_learned_from_or_judged_on(
    kind: str, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    store = str(tmp_path)
    plain = {
        name: value if isinstance(value, pl.Expr) else pl.lit(value)
        for name, value in changes.items()
    }
    raw = write_frame(large().with_columns(**plain), store, regions=("local",))
    with pytest.raises(DataError) as caught:
        split(raw, CONTRACT, data(kind, 0.25), 7, store=store)
    assert said in caught.value.what
    assert caught.value.where == f"data.split.kind={kind}"

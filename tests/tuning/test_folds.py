"""What is learned from is never judged on, and never later; checked row by row."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.artifacts import Columns
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.backtest_windows import cuts_of, windows_of
from mlops_tasks.tuning.folds import folds

COLUMNS = Columns(("id",), "late", ("x",), (), time="when", group="plane")


def rows(times: list[int]) -> pl.DataFrame:
    frame = pl.DataFrame({"id": range(len(times)), "when": times})
    return frame.with_columns(late=pl.col("id") % 2, plane=pl.col("id") // 3 % 20)


@given(
    times=st.lists(st.integers(0, 60), min_size=8, max_size=80),
    windows=st.integers(1, 6),
    sliding=st.booleans(),
)
def test_windows_by_the_slow_way(times: list[int], windows: int, sliding: bool) -> None:
    frame = rows(times)
    try:
        cuts = cuts_of(frame["when"], windows)
    except DataError:
        assert len(set(times)) < len(times), "different moments can always be cut"
        return
    found = windows_of(frame, "when", windows, sliding)
    assert len(found) == windows
    judged = [number for _, inside in found for number in inside["id"]]
    assert sorted(judged) == [n for n, time in enumerate(times) if time >= cuts[0]]
    edges = [min(times), *cuts]
    for place, (known, inside) in enumerate(found):
        start = edges[place] if sliding else edges[0]
        expected = [n for n, time in enumerate(times) if start <= time < cuts[place]]
        assert known["id"].to_list() == expected
        assert known["when"].max() < inside["when"].min()


def test_windows_have_about_the_same_number_of_rows() -> None:
    found = windows_of(rows(list(range(700))), "when", 6, sliding=True)
    assert [(known.height, inside.height) for known, inside in found] == [(100, 100)] * 6


def test_too_few_moments_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be cut into 4 stretches"):
        cuts_of(rows([1, 1, 1, 2, 2, 2])["when"], 3)


@pytest.mark.parametrize("kind", ["time", "random", "grouped", "stratified"])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_no_fold_sees_what_it_is_judged_on(kind: str, count: int) -> None:
    frame = rows([n * 7 % 400 for n in range(400)])
    pairs = list(folds(frame, COLUMNS, kind, count, seed=3))
    assert len(pairs) == count
    for learn, judge in pairs:
        assert set(learn["id"]).isdisjoint(judge["id"])
        if kind == "time":
            assert learn["when"].max() < judge["when"].min()
        elif kind == "grouped":
            assert set(learn["plane"]).isdisjoint(judge["plane"])
        if kind != "time":
            assert learn.height + judge.height == frame.height
    judged = [number for _, judge in pairs for number in judge["id"]]
    assert len(judged) == len(set(judged))
    if kind == "random" and count == 7:
        assert len(judged) == frame.height, "each row is judged on once"


def test_the_folds_stay_the_same_and_the_seed_changes_them() -> None:
    frame = rows(list(range(300)))
    one, again, other = (
        [judge["id"].to_list() for _, judge in folds(frame, COLUMNS, "random", 3, seed)]
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_a_part_of_one_class_is_refused() -> None:
    frame = rows(list(range(300))).with_columns(late=(pl.col("when") > 290).cast(pl.Int64))
    with pytest.raises(DataError, match="fold 1 of 2 has a part of 100 rows with one class"):
        list(folds(frame, COLUMNS, "time", 2, seed=1))

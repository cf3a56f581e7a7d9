"""Rows held to the contract a part at a time: the same as all at once, and in less memory."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.artifacts import Code, Dataset
from mlops_tasks.data import admission, duplicates
from mlops_tasks.data.admission import admit, looks_at_one_row
from mlops_tasks.data.duplicates import rows_that_share_a_key
from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import ContractBroken
from mlops_tasks.settings import DataSettings
from mlops_tasks.storage import put

NOW = datetime(2014, 1, 1)
START = datetime(2013, 1, 1)
REPO = Path(__file__).parents[2]


class Rows(dy.Schema):
    flight = dy.String(primary_key=True)
    leg = dy.Int64(primary_key=True)
    departure = dy.Datetime(nullable=False)
    kind = dy.Enum(["a", "b"], nullable=True)
    miles = dy.Float64(nullable=True, min=0)
    hour = dy.Int64(nullable=False, min=0, max=23)
    late = dy.Int64(nullable=False, is_in=[0, 1])

    @dy.rule()
    def hour_is_that_of_departure(cls) -> pl.Expr:  # noqa: N805
        return cls.hour.col == cls.departure.col.dt.hour()


class Compared(Rows):
    """With a rule that looks at other rows."""

    @dy.rule()
    def not_ten_times_the_mean(cls) -> pl.Expr:  # noqa: N805
        return cls.miles.col < 10 * cls.miles.col.mean()


def frame_of(rows: int = 500) -> pl.DataFrame:
    moments = [START + timedelta(hours=number) for number in range(rows)]
    return pl.DataFrame(
        {
            "flight": [f"F{number // 2:05}" for number in range(rows)],
            "leg": [number % 2 for number in range(rows)],
            "departure": moments,
            "kind": pl.Series(["a", "b", None, "a", "b"] * (rows // 5), dtype=pl.Enum(["a", "b"])),
            "miles": [100.0] * rows,
            "hour": [moment.hour for moment in moments],
            "late": [0, 1, 0, None, 0] * (rows // 5),
        }
    )


def spoil(frame: pl.DataFrame, column: str, cells: dict[int, Any]) -> pl.DataFrame:
    values = frame[column].to_list()
    for row, cell in cells.items():
        values[row] = cell
    return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))


def spoilt() -> pl.DataFrame:
    """With every kind of bad row, some bad in two ways, and keys shared near and far."""
    frame = spoil(frame_of(), "miles", {3: -1.0, 7: None, 300: -2.0})
    frame = spoil(frame, "departure", {20: None, 21: datetime(2999, 1, 1), 300: None})
    frame = spoil(frame, "hour", {44: 99, 300: None})
    frame = spoil(frame, "late", {50: 7, 499: 9})
    return spoil(frame, "flight", {0: "F00249", 48: "F00022", 400: "F00002", 3: None})


def held(
    frame: pl.DataFrame, folder: Path, schema: type[dy.Schema] = Rows, **data: Any
) -> Dataset | ContractBroken:
    uri, digest, _ = put(
        str(folder), lambda path: frame.write_parquet(path, row_group_size=5), ".parquet"
    )
    raw = Dataset(uri, digest, frame.height, tuple(frame.columns), ("local",), "5" * 32)
    contract = Code(f"{schema.__module__}:{schema.__name__}", "d" * 64)
    settings = DataSettings(**{"path": "x.parquet", "target": "late", "time": "departure"} | data)
    try:
        return admit(raw, contract, settings, store=str(folder), now=NOW)
    except ContractBroken as error:
        return error


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(admission, "PART_ROWS", 7)
    monkeypatch.setattr(duplicates, "AT_ONCE", 100)
    return monkeypatch


@pytest.mark.parametrize("schema", [Rows, Compared])
@pytest.mark.parametrize("window", [None, {}, {"start": START + timedelta(hours=30)}])
@pytest.mark.parametrize("tolerated", [0.0, 0.9])
def test_in_parts_it_is_as_all_at_once(
    tmp_path: Path,
    small_parts: pytest.MonkeyPatch,
    schema: type[dy.Schema],
    window: dict[str, datetime] | None,
    tolerated: float,
) -> None:
    data: dict[str, Any] = {"window": window, "max_bad_fraction": tolerated}
    if window is None:
        data = {"time": None, "split": {"kind": "random"}, "max_bad_fraction": tolerated}
    parts = held(spoilt(), tmp_path, schema, **data)
    small_parts.undo()
    whole = held(spoilt(), tmp_path, schema, **data)
    if isinstance(whole, ContractBroken):
        assert isinstance(parts, ContractBroken)
        assert str(parts) == str(whole)
        assert (parts.rows, parts.bad_rows) == (whole.rows, whole.bad_rows)
        assert "primary_key (6)" in str(parts) or window
    else:
        assert isinstance(parts, Dataset)
        assert read_frame(parts).equals(read_frame(whole))
        assert (parts.rows, parts.quarantined_rows) == (whole.rows, whole.quarantined_rows)
        assert parts.rows + parts.quarantined_rows == (500 if not window else 472)
    assert isinstance(whole, Dataset) == (tolerated > 0)


def test_rows_keep_their_order_and_their_types(tmp_path: Path, small_parts: object) -> None:
    frame = frame_of().sample(fraction=1, shuffle=True, seed=1)
    kept = held(frame, tmp_path)
    assert isinstance(kept, Dataset)
    assert read_frame(kept).equals(frame)
    assert read_frame(kept).schema == frame.schema
    assert (kept.dvc_rev, kept.regions) == ("5" * 32, ("local",))


def test_what_is_refused_leaves_nothing(tmp_path: Path, small_parts: object) -> None:
    frame = spoil(frame_of(), "miles", {499: -1.0})
    error = held(frame, tmp_path)
    assert isinstance(error, ContractBroken)
    assert error.examples == ("row 499: miles = -1.0 breaks min",)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_no_more_than_a_part_is_looked_at(tmp_path: Path, small_parts: pytest.MonkeyPatch) -> None:
    heights: list[int] = []
    divide = admission.divide

    def noted(schema: Any, rows: pl.DataFrame, *more: Any) -> Any:
        heights.append(rows.height)
        return divide(schema, rows, *more)

    small_parts.setattr(admission, "divide", noted)
    assert isinstance(held(frame_of(), tmp_path), Dataset)
    assert (max(heights), sum(heights)) == (7, 500)
    heights.clear()
    assert isinstance(held(frame_of(), tmp_path, Compared), Dataset)
    assert heights == [500], "a rule that looks at other rows"


ELSEWHERE = {
    "mean": pl.col("x") > pl.col("x").mean(),
    "shift": (pl.col("x") > pl.col("x").shift()) | (pl.col("y") > 1),
    "over": pl.col("x").is_unique().over("y"),
    "count": pl.col("x") < pl.len(),
    "running": pl.col("x").cum_sum() > 1,
    "filled": pl.col("x").forward_fill() > 0,
    "python": pl.col("x").map_batches(lambda rows: rows > rows.max(), return_dtype=pl.Boolean),
}
HERE = {
    "bounds": pl.col("x").is_between(1, 2) & (pl.col("y") > 1),
    "text": pl.col("x").str.contains("a") | pl.col("x").is_null(),
    "choice": pl.when(pl.col("x") > 1).then(pl.col("y") > 1).otherwise(True),
}


@pytest.mark.parametrize("name", [*ELSEWHERE, *HERE])
def test_a_rule_that_looks_at_other_rows_is_told_from_one_that_does_not(name: str) -> None:
    class Ruled(dy.Schema):
        key = dy.String(primary_key=True)
        x = dy.Float64()
        y = dy.Float64()

        @dy.rule()
        def ruled(cls) -> pl.Expr:  # noqa: N805
            return (ELSEWHERE | HERE)[name]

    assert looks_at_one_row(Ruled) == (name in HERE)


KEYS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.integers(0, 3)), max_size=40
)


@pytest.mark.parametrize("colliding", [False, True])
@given(keys=KEYS, size=st.integers(1, 9), at_once=st.integers(1, 50))
def test_keys_are_shared_if_and_only_if_they_are_equal(
    colliding: bool, keys: list[tuple[str | None, int]], size: int, at_once: int
) -> None:
    schema = {"name": pl.String, "leg": pl.Int64}
    frame = pl.DataFrame(keys, schema=schema, orient="row").with_row_index("row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "AT_ONCE", at_once)
        if colliding:  # as if any two keys had the same hash
            patch.setattr(
                duplicates,
                "_hashes",
                lambda part, key: pl.Series(duplicates._HASH, [5] * part.height, pl.UInt64),
            )
        found = rows_that_share_a_key(
            lambda: frame.iter_slices(size), ("name", "leg"), "row", len(keys)
        )
    assert found.to_list() == [at for at, key in enumerate(keys) if keys.count(key) > 1]


def peak_mib(folder: Path, rows: int) -> int:
    """Of a process that takes a snapshot of so many rows and admits them."""
    words = [sys.executable, "-m", "tests.data.admitting", str(folder), str(rows)]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(
        words, cwd=REPO, env=environment, check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Two million rows more would be 240 MiB more, if they were held even once."""
    few, many = (peak_mib(tmp_path / str(rows), rows) for rows in (500_000, 2_500_000))
    assert many - few < 120

"""Which comparison rows a rival was trained on: the gate's trust in a champion rests on it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_tasks.artifacts import Candidate, Columns, Split
from mlops_tasks.data.frames import write_frame
from mlops_tasks.evaluation.comparison import seen_rows
from mlops_tasks.references import code
from mlops_tasks.settings import ModelSettings
from mlops_tasks.training import baselines
from mlops_tasks.training.fit import fit

COLUMNS = Columns(("day", "flight"), "late", ("x",), ())


def rows(first: int, end: int) -> pl.DataFrame:
    number = np.arange(first, end)
    frame = {"day": number // 10, "flight": number % 10, "x": number / 7, "late": number % 2}
    return pl.DataFrame(frame)


@pytest.fixture
def rival(tmp_path: Path) -> Candidate:
    store = str(tmp_path)
    train = write_frame(rows(0, 100), store, regions=("eu",))
    model, split = ModelSettings(name="trivial"), Split(train, train, COLUMNS, "random")
    return fit(split, code(baselines.REFERENCE), model, 1, store=store)


@pytest.mark.parametrize(("first", "end", "seen"), [(100, 200, 0), (88, 200, 12), (0, 50, 50)])
def test_rows_of_the_training_are_counted_by_their_whole_key(
    rival: Candidate, first: int, end: int, seen: int
) -> None:
    comparison = rows(first, end).with_columns(pl.col("x") + 1)  # corrected since: still the same
    assert seen_rows(rival, comparison.sample(fraction=1, shuffle=True, seed=2)) == seen


def test_what_the_rival_was_trained_on_is_gone_so_nobody_knows(rival: Candidate) -> None:
    Path(rival.train.uri).unlink()
    assert seen_rows(rival, rows(100, 200)) is None


def test_what_the_rival_was_trained_on_was_altered_so_nobody_knows(rival: Candidate) -> None:
    rows(200, 300).write_parquet(rival.train.uri)
    assert seen_rows(rival, rows(0, 50)) is None

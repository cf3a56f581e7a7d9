"""Slices divide the rows and show where a model fails; importance tells used from useless."""

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.artifacts import Importance, SliceScore
from mlops_tasks.evaluation import importance as importance_module
from mlops_tasks.evaluation.importance import permutation_importance
from mlops_tasks.evaluation.metrics import METRICS, Array, point
from mlops_tasks.evaluation.report import worst_first
from mlops_tasks.evaluation.slices import MAX_LEVELS, OTHER, slice_scores


def sliced(
    frame: pl.DataFrame, target: Array, score: Array, metric: str = "accuracy", seed: int = 1
) -> tuple[SliceScore, ...]:
    columns = tuple(frame.columns)
    return slice_scores(frame, columns, target, score, metric=metric, confidence=0.9, seed=seed)


def flat(values: pl.Series) -> tuple[SliceScore, ...]:
    """Slices of one column; every third row is positive, and every score is right."""
    target = (np.arange(len(values)) % 3 == 0).astype(float)
    return sliced(values.to_frame(), target, target)


def rows_of(parts: tuple[SliceScore, ...]) -> dict[str, int]:
    return {part.level: part.rows for part in parts}


KINDS: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "text": (st.text(max_size=3), pl.String),
    "whole": (st.integers(-50, 50), pl.Int64),
    "small": (st.integers(0, 255), pl.UInt8),
    "real": (st.floats(-1e9, 1e9), pl.Float64),
    "any real": (st.floats(), pl.Float64),
    "yes or no": (st.booleans(), pl.Boolean),
    "moment": (st.datetimes(datetime(2013, 1, 1), datetime(2014, 1, 1)), pl.Datetime("us")),
    "category": (st.sampled_from(["a", "b", "c"]), pl.Categorical),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_every_row_is_in_exactly_one_slice(kind: str, data: st.DataObject) -> None:
    values, dtype = KINDS[kind]
    cells = data.draw(st.lists(st.none() | values, min_size=1, max_size=60))
    parts = flat(pl.Series("column", cells, dtype=dtype))
    assert sum(part.rows for part in parts) == len(cells)
    assert sum(part.positives for part in parts) == len(range(0, len(cells), 3))
    assert len({part.level for part in parts}) == len(parts) <= MAX_LEVELS + 1
    assert all(part.rows > 0 and part.column == "column" for part in parts)


def test_a_slice_has_the_score_of_its_own_rows() -> None:
    generator = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"carrier": [["AA", "B6", None][draw] for draw in generator.integers(0, 3, 300)]}
    )
    target = generator.integers(0, 2, 300).astype(float)
    score = generator.uniform(size=300)
    for part in sliced(frame, target, score, "roc_auc"):
        level = None if part.level == "(missing)" else part.level
        member = frame["carrier"].eq_missing(pl.Series([level], dtype=pl.String)).to_numpy()
        assert part.rows == member.sum()
        assert part.positives == target[member].sum()
        assert part.score is not None
        assert part.score.value == point("roc_auc", target[member], score[member])
        assert part.score.low < part.score.value < part.score.high


def test_rare_levels_are_pooled() -> None:
    common = [f"common {number:02}" for number in range(MAX_LEVELS) for _ in range(5)]
    rare = [f"rare {number}" for number in range(300)]
    parts = rows_of(flat(pl.Series("column", common + rare)))
    assert parts == dict.fromkeys(common, 5) | {OTHER: 300}


def test_as_many_levels_as_are_allowed_stay_apart() -> None:
    levels = [f"{number:02}" for number in range(MAX_LEVELS)]
    assert rows_of(flat(pl.Series("column", levels))) == dict.fromkeys(levels, 1)


def test_numbers_are_cut_at_their_quartiles() -> None:
    parts = rows_of(flat(pl.Series("miles", [float(number) for number in range(100)] + [None] * 7)))
    assert parts == {
        "(missing)": 7,
        "below 25": 25,
        "25 to 50": 25,
        "50 to 74": 24,
        "74 and above": 26,
    }


def test_few_numbers_are_levels() -> None:
    assert rows_of(flat(pl.Series("hour", [1, 2, 2, None]))) == {"1": 1, "2": 2, "(missing)": 1}


def test_a_heavy_number_is_not_cut_in_two() -> None:
    """More than a quarter of the rows at zero: two quartiles are the same edge."""
    cells = [0.0] * 60 + [float(number) for number in range(1, 41)]
    assert rows_of(flat(pl.Series("rain", cells))) == {"0 to 15": 74, "15 and above": 26}


@pytest.mark.parametrize("name", ["rows", "count", "len", "level", "literal", ""])
def test_a_column_may_have_any_name(name: str) -> None:
    for cells in (["a", "b", "a"], list(range(40))):
        parts = flat(pl.Series(name, cells))
        assert {part.column for part in parts} == {name}
        assert sum(part.rows for part in parts) == len(cells)


def test_a_slice_of_one_class_has_no_score() -> None:
    frame = pl.DataFrame({"carrier": ["AA"] * 40 + ["B6"] * 40})
    target = np.r_[np.zeros(40), np.tile([0.0, 1.0], 20)]
    one, two = sliced(frame, target, np.linspace(0, 1, 80), "roc_auc")
    assert (one.level, one.rows, one.positives, one.score) == ("AA", 40, 0, None)
    assert two.score is not None


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_a_planted_defect_is_the_worst_slice(metric: str) -> None:
    generator = np.random.default_rng(7)
    rows = 4_000
    frame = pl.DataFrame(
        {
            "carrier": generator.choice([f"C{number}" for number in range(8)], rows),
            "origin": generator.choice(["EWR", "JFK", "LGA"], rows),
            "miles": generator.uniform(0, 3_000, rows),
        }
    )
    target = generator.integers(0, 2, rows).astype(float)
    score = np.clip(0.5 + 0.4 * (target - 0.5) + generator.normal(0, 0.2, rows), 0.01, 0.99)
    broken = (frame["carrier"] == "C5").to_numpy()
    score[broken] = 1 - score[broken]
    parts = sliced(frame, target, score, metric)
    worst, second = worst_first(parts, metric)[:2]
    assert (worst.column, worst.level) == ("carrier", "C5")
    assert worst.score is not None
    assert second.score is not None
    if METRICS[metric].higher_is_better:
        assert worst.score.high < second.score.low
    else:
        assert worst.score.low > second.score.high


def test_slices_come_in_a_fixed_order_and_again_the_same() -> None:
    generator = np.random.default_rng(8)
    frame = pl.DataFrame({"b": generator.choice(list("zyx"), 90), "a": generator.uniform(size=90)})
    target = generator.integers(0, 2, 90).astype(float)
    first = sliced(frame, target, generator.permutation(target), "accuracy")
    assert [part.column for part in first] == ["b"] * 3 + ["a"] * 4
    assert [part.level for part in first[:3]] == ["x", "y", "z"]
    generator = np.random.default_rng(8)
    frame = pl.DataFrame({"b": generator.choice(list("zyx"), 90), "a": generator.uniform(size=90)})
    target = generator.integers(0, 2, 90).astype(float)
    assert sliced(frame, target, generator.permutation(target), "accuracy") == first


ROWS = 600


def features(seed: int = 0, rows: int = ROWS) -> tuple[pl.DataFrame, Array]:
    generator = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "noise": generator.uniform(size=rows),
            "strong": generator.uniform(size=rows),
            "word": generator.choice(["a", "b"], rows),
            "weak": generator.uniform(size=rows),
            "constant": np.ones(rows),
        }
    )
    chance = 0.7 * frame["strong"].to_numpy() + 0.3 * frame["weak"].to_numpy()
    return frame, (generator.uniform(size=rows) < chance**2).astype(float)


def predict(rows: pl.DataFrame) -> Array:
    return (0.7 * rows["strong"].to_numpy() + 0.3 * rows["weak"].to_numpy()) ** 2


def importance_of(
    frame: pl.DataFrame, target: Array, metric: str = "roc_auc", repeats: int = 5, seed: int = 3
) -> tuple[Importance, ...]:
    return permutation_importance(predict, frame, target, metric=metric, repeats=repeats, seed=seed)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier_score", "average_precision"])
def test_what_the_model_uses_is_important_and_the_rest_is_useless(metric: str) -> None:
    found = importance_of(*features(), metric=metric)
    assert [item.feature for item in found[:2]] == ["strong", "weak"]
    assert [item.useless for item in found] == [False, False, True, True, True]
    assert found[0].mean > 2 * found[1].mean > 0
    assert {item.feature for item in found[2:]} == {"noise", "word", "constant"}
    assert all(item.mean == item.std == 0 for item in found[2:])


@pytest.mark.parametrize("repeats", [5, 30])
def test_noise_that_a_model_does_use_is_useless(repeats: int) -> None:
    """Fitted on noise beside the signal: shuffling the noise costs nothing that can be told."""

    def overfitted(rows: pl.DataFrame) -> Array:
        return np.clip(predict(rows) + 0.1 * (rows["noise"].to_numpy() - 0.5), 0, 1)

    named = 0
    for seed in range(40):
        frame, target = features(seed, rows=200)
        found = permutation_importance(
            overfitted,
            frame.select("noise", "strong", "weak"),
            target,
            metric="roc_auc",
            repeats=repeats,
            seed=seed,
        )
        by_name = {item.feature: item for item in found}
        assert not by_name["strong"].useless
        assert by_name["noise"].std > 0
        named += by_name["noise"].useless
    assert named >= 36, "the order as it is counts as one draw too, not as the truth"


def test_importance_is_the_mean_loss_over_shuffles() -> None:
    """A naive loop with shuffles of its own comes near."""
    frame, target = features()
    found = {item.feature: item for item in importance_of(frame, target, repeats=100)}
    generator = np.random.default_rng(123)
    whole = point("roc_auc", target, predict(frame))
    for name in ("strong", "weak"):
        losses = []
        for _ in range(100):
            cells = frame[name].to_list()
            generator.shuffle(cells)
            shuffled = frame.with_columns(pl.Series(name, cells))
            losses.append(whole - point("roc_auc", target, predict(shuffled)))
        assert found[name].mean == pytest.approx(np.mean(losses), abs=4 * np.std(losses) / 7)
        assert found[name].std == pytest.approx(np.std(losses, ddof=1), rel=0.35)


def test_importance_is_deterministic_and_depends_on_the_seed() -> None:
    assert importance_of(*features()) == importance_of(*features())
    assert importance_of(*features(), seed=3) != importance_of(*features(), seed=4)


def test_large_data_is_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watching(rows: pl.DataFrame) -> Array:
        seen.append(rows)
        return predict(rows)

    frame, target = features()
    monkeypatch.setattr(importance_module, "MAX_ROWS", 50)
    permutation_importance(watching, frame, target, metric="accuracy", repeats=2, seed=1)
    assert [rows.height for rows in seen] == [50] + [2 * 50] * frame.width
    drawn = seen[0]
    assert drawn["strong"].is_in(frame["strong"].implode()).all()
    assert drawn["strong"].n_unique() == 50
    first, second = seen[1][:50], seen[1][50:]
    assert first["noise"].to_list() != second["noise"].to_list()
    for shuffled in (first, second):
        assert sorted(shuffled["noise"]) == sorted(drawn["noise"])
        assert shuffled["noise"].to_list() != drawn["noise"].to_list()
        assert shuffled.drop("noise").equals(drawn.drop("noise"))

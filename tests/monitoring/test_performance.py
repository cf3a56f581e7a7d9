"""Realised performance on real flights: the figures of training, and none without labels."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlops_tasks.data.frames import read_frame
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.bootstrap import intervals
from mlops_tasks.evaluation.calibration import calibration_bins
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.evaluation.slices import cuts_of, slice_scores
from mlops_tasks.monitoring import performance
from mlops_tasks.monitoring.performance import realised
from mlops_tasks.serving.prediction_log.records import FEATURE
from tests.monitoring.live import MEASURE, Live, learn

RULES = {"minimum_labels": 200, "seed": 5}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    return learn(tmp_path_factory.mktemp("store"), mixed=True)


@pytest.fixture(scope="module")
def rows(live: Live) -> pl.DataFrame:
    """800 logged rows; the label of every fourth has not come."""
    logged = live.labelled(live.unseen[:800])
    come = pl.int_range(pl.len()) % 4 != 3
    return logged.with_columns(pl.when(come).then("label"), pl.when(come).then("label_time"))


def test_the_figures_are_those_of_training_on_the_labelled_rows(rows: pl.DataFrame) -> None:
    found = realised(rows, MEASURE, **RULES, window="w")
    known = rows.filter(pl.col("label").is_not_null())
    target, score = known["label"].cast(pl.Float64).to_numpy(), known["score"].to_numpy()
    again = {"confidence": MEASURE.confidence, "seed": 5}
    expected = intervals(tuple(METRICS), target, score, samples=200, **again)
    assert dict(found.metrics) == expected
    assert found.metric("roc_auc") == expected["roc_auc"]
    frame = known.select(pl.col("^feature[.].*$").name.map(lambda name: name[len(FEATURE) :]))
    assert found.slices == slice_scores(
        frame, MEASURE.slices, target, score, metric="roc_auc", **again
    )
    assert {each.column for each in found.slices} == {"carrier", "distance_miles"}
    assert found.calibration == calibration_bins(target, score, MEASURE.calibration_bins)
    assert (found.window, found.rows, found.labelled, found.measured) == ("w", 800, 600, 600)


def test_rows_without_a_label_count_only_for_the_coverage(rows: pl.DataFrame) -> None:
    """Their scores say nothing about how well the model does."""
    other = rows.with_columns(score=pl.when(pl.col("label").is_null()).then(1.0).otherwise("score"))
    found, same = (realised(each, MEASURE, **RULES) for each in (rows, other))
    assert found.metrics == same.metrics
    assert found.slices == same.slices
    assert found.coverage == 0.75
    assert found.labelled_mean_score == same.labelled_mean_score
    assert found.mean_score is not None
    assert same.mean_score is not None
    assert same.mean_score > found.mean_score


def test_below_the_minimum_there_is_no_figure_and_it_says_so(rows: pl.DataFrame) -> None:
    found = realised(rows, MEASURE, minimum_labels=601, seed=5)
    assert not found.judged
    assert (found.metrics, found.slices, found.calibration) == ((), (), ())
    assert found.summary == (
        "not enough labels: 600 of 800 rows have a label (75.0%), a figure takes 601"
    )
    enough = realised(rows, MEASURE, minimum_labels=600, seed=5)
    assert enough.judged
    assert enough.metrics
    assert "not enough" not in enough.summary


def test_a_window_without_rows_is_no_error(rows: pl.DataFrame) -> None:
    found = realised(rows.clear(), MEASURE, **RULES)
    assert (found.rows, found.coverage, found.mean_score, found.lag) == (0, 0.0, None, None)
    assert not found.judged


def test_the_lag_is_that_of_the_labels_that_came(rows: pl.DataFrame) -> None:
    late = rows.with_columns(
        label_time=pl.when(pl.int_range(pl.len()) < 400)
        .then(pl.col("label_time") + timedelta(hours=8))
        .otherwise("label_time")
    )
    lag = realised(late, MEASURE, **RULES).lag
    assert lag is not None
    assert lag.ninth_decile_hours == 10.0
    assert 2.0 <= lag.median_hours <= 10.0
    assert realised(rows.drop("label_time"), MEASURE, **RULES).lag is None


def test_boolean_labels_are_labels(rows: pl.DataFrame) -> None:
    found = realised(rows.with_columns(pl.col("label").cast(pl.Boolean)), MEASURE, **RULES)
    assert found == realised(rows, MEASURE, **RULES)


def test_a_slice_whose_column_is_not_logged_is_named(rows: pl.DataFrame) -> None:
    found = realised(rows.drop("feature.carrier"), MEASURE, **RULES)
    assert found.unmeasured_slices == ("carrier",)
    assert {each.column for each in found.slices} == {"distance_miles"}


def test_where_all_labels_are_alike_only_some_metrics_are_defined(rows: pl.DataFrame) -> None:
    found = realised(rows.with_columns(label=pl.lit(0)), MEASURE, **RULES)
    assert found.judged
    assert found.metric("roc_auc") is None
    assert found.metric("log_loss") is not None


def test_no_more_rows_are_measured_than_the_limit(
    rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance, "MOST_ROWS", 300)
    found = realised(rows, MEASURE, **RULES)
    assert (found.labelled, found.measured) == (600, 300)
    assert sum(each.rows for each in found.calibration) == 300
    assert found == realised(rows, MEASURE, **RULES)


@pytest.mark.parametrize(
    ("spoilt", "where"),
    [
        (pl.lit(2).alias("label"), "label"),
        (pl.lit(float("nan")).alias("score"), "score"),
        (pl.lit(None, pl.Float64).alias("score"), "score"),
        (pl.lit(1.5).alias("score"), "score"),
    ],
)
def test_what_is_no_label_or_score_is_refused(
    rows: pl.DataFrame, spoilt: pl.Expr, where: str
) -> None:
    with pytest.raises(DataError) as caught:
        realised(rows.with_columns(spoilt), MEASURE, **RULES)
    assert caught.value.where == where
    assert caught.value.next_step


def test_rows_that_labels_were_never_joined_to_are_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="lack a column"):
        realised(rows.drop("label"), MEASURE, **RULES)


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 1, None])), max_size=60))
@examples(max_examples=30)
def test_labels_are_counted_as_by_hand(pairs: list[tuple[float, int | None]]) -> None:
    frame = pl.DataFrame(
        {"score": [score for score, _ in pairs], "label": [label for _, label in pairs]},
        schema={"score": pl.Float64, "label": pl.Int64},
    )
    found = realised(frame, MEASURE.model_copy(update={"slices": ()}), minimum_labels=99, seed=1)
    known = [(score, label) for score, label in pairs if label is not None]
    assert found.labelled == len(known)
    assert found.positives == sum(label for _, label in known)
    assert found.coverage == (len(known) / len(pairs) if pairs else 0.0)
    if known:
        assert found.labelled_mean_score == pytest.approx(np.mean([score for score, _ in known]))


def test_slices_of_two_windows_are_cut_where_the_champion_was_judged(
    rows: pl.DataFrame, live: Live
) -> None:
    """Else "below 400 miles" would mean other flights in every window."""
    judged = read_frame(live.evaluation.comparison)
    cuts = cuts_of(judged, MEASURE.slices)
    far = rows.with_columns(pl.col("feature.distance_miles") + 500)
    names = {each.level for each in live.evaluation.slices if each.column == "distance_miles"}
    for window in (rows, far):
        found = realised(window, MEASURE, **RULES, cuts=cuts).slices
        assert {each.level for each in found if each.column == "distance_miles"} <= names
    (far_ones,) = [each for each in found if each.level.endswith("and above")]
    assert far_ones.rows > 300, "most flights are far ones now"
    own = realised(far, MEASURE, **RULES).slices
    assert {each.level for each in own if each.column == "distance_miles"} != names

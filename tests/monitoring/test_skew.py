"""Skew: a real model's logged flights through the training path, sound and spoilt in each way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_tasks.errors import AlteredObject, DataError
from mlops_tasks.inference.serving_form import form_of, predictor_of
from mlops_tasks.monitoring.skew import SAMPLE, skew
from mlops_tasks.monitoring.skew_report import SkewReport
from mlops_tasks.training.model_files import read_model
from tests.monitoring.live import COLUMNS, Live, learn, read_frame


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    return learn(tmp_path_factory.mktemp("store"), mixed=True)


@pytest.fixture(scope="module")
def logged(live: Live) -> pl.DataFrame:
    return live.log(live.unseen[:600])


def looked(live: Live, logged: pl.DataFrame, **more: object) -> SkewReport:
    return skew(live.candidate, live.features, logged, seed=1, **more)  # type: ignore[arg-type]


def at(places: range, value: object, column: str) -> pl.Expr:
    """`column` with another value in these rows."""
    there = pl.int_range(pl.len()).is_in(list(places))
    return pl.when(there).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


def test_what_was_served_as_it_was_trained_shows_no_skew(live: Live, logged: pl.DataFrame) -> None:
    found = looked(live, logged)
    assert found.verdict == "no skew"
    assert found.reasons == ()
    assert (found.rows, found.sampled, found.differences) == (600, 600, ())
    assert found.largest_gap is not None
    assert found.largest_gap < 1e-12


def test_what_onnx_runtime_served_shows_no_skew(tmp_path: Path) -> None:
    """It computes in 32 bits: the gap is not zero, and within the tolerance."""
    numbers = learn(tmp_path, mixed=True, columns=replace(COLUMNS, categorical=()))
    candidate = numbers.candidate
    estimator = read_model(candidate.model_uri, candidate.digest)
    rows = [read_frame(each) for each in (candidate.train, numbers.evaluation.comparison)]
    form, onnx = form_of(estimator, *rows, numbers.columns)
    predictor, _ = predictor_of(form, estimator, onnx)
    assert predictor.kind == "onnx"
    logged = numbers.log(numbers.unseen[:600])
    asked = logged.select(f"feature.{name}" for name in numbers.columns.features).rows()
    found = looked(numbers, logged.with_columns(score=pl.Series(predictor.scores(asked))))
    assert found.verdict == "no skew"
    assert 0 < (found.largest_gap or 0) < 1e-5


@pytest.mark.parametrize(
    ("spoilt", "kind", "column", "rows"),
    [
        (at(range(7), 0.123, "score"), "score", "", 7),
        (at(range(5), None, "score"), "score", "", 5),
        ((1 - pl.col("prediction")).alias("prediction"), "label", "", 600),
        (at(range(9), "f" * 64, "digest"), "model", "", 9),
        (at(range(3), None, "feature.distance_miles"), "missing", "distance_miles", 3),
        (at(range(2), float("inf"), "feature.distance_miles"), "refused", "", 600),
        (pl.col("feature.distance_miles").cast(pl.String), "type", "distance_miles", 600),
        (pl.col("feature.distance_miles").cast(pl.Int64), "type", "distance_miles", 600),
        (pl.col("feature.distance_miles") * 1.1, "score", "", None),
    ],
)
def test_each_difference_is_found_and_counted(
    live: Live, logged: pl.DataFrame, spoilt: pl.Expr, kind: str, column: str, rows: int | None
) -> None:
    found = looked(live, logged.with_columns(spoilt))
    assert found.verdict == "skew"
    counts = {(each, name): number for each, name, number in found.counts}
    assert counts.get((kind, column)) == (rows or counts[kind, column])
    assert any(column in reason for reason in found.reasons)
    assert found.largest_gap is None or np.isfinite(found.largest_gap)
    named = [each for each in found.differences if (each.kind, each.column) == (kind, column)]
    assert 1 <= len(named) <= (rows or 600)


def test_a_difference_names_the_row_and_both_values(live: Live, logged: pl.DataFrame) -> None:
    spoilt = logged.with_columns(at(range(417, 418), 0.123, "score"))
    (found, *others) = looked(live, spoilt).differences
    assert (found.request_id, found.row) == (logged["request_id"][417], 0)
    assert found.served == "0.123"
    assert float(found.trained) == pytest.approx(logged["score"][417])
    assert all(each.kind == "label" for each in others)


def test_a_gap_within_the_tolerance_is_none(live: Live, logged: pl.DataFrame) -> None:
    near, far = (logged.with_columns(pl.col("score") + gap) for gap in (9e-6, 1.1e-5))
    assert looked(live, near).verdict == "no skew"
    assert looked(live, far).verdict == "skew"


def test_a_value_that_its_type_in_training_cannot_hold_is_found(
    live: Live, logged: pl.DataFrame
) -> None:
    small = [
        replace(each, dtype=pl.Int8()) if each.name == "scheduled_hour" else each
        for each in live.features
    ]
    spoilt = logged.with_columns(at(range(4), 300, "feature.scheduled_hour"))
    found = skew(live.candidate, small, spoilt, seed=1)
    assert ("value", "scheduled_hour", 4) in found.counts
    assert "cannot hold in scheduled_hour: 4 of 600 rows" in found.reasons[0]
    assert {"300"} == {each.served for each in found.differences if each.kind == "value"}
    assert skew(live.candidate, small, logged, seed=1).verdict == "no skew"


def test_what_single_precision_rounds_away_is_no_difference(
    live: Live, logged: pl.DataFrame
) -> None:
    single = [
        replace(each, dtype=pl.Float32()) if each.kind == "float" else each
        for each in live.features
    ]
    found = skew(live.candidate, single, logged, seed=1)
    assert [each for each in found.counts if each[0] == "value"] == []


def test_a_column_without_any_value_has_no_type_to_differ(live: Live, logged: pl.DataFrame) -> None:
    empty = logged.with_columns(pl.lit(None, pl.Null).alias("feature.temperature_f"))
    kinds = {kind for kind, _, _ in looked(live, empty).counts}
    assert "type" not in kinds


@pytest.mark.parametrize("hashed", [(), ("carrier",)])
def test_what_privacy_hides_is_said_and_never_passed(
    live: Live, logged: pl.DataFrame, hashed: tuple[str, ...]
) -> None:
    hidden = logged if hashed else logged.drop("feature.carrier")
    found = looked(live, hidden, hashed=hashed)
    assert found.verdict == "not checked"
    assert found.largest_gap is None
    word = "hashed" if hashed else "drop"
    assert any("carrier" in why and word in why for why in found.unchecked)
    assert any(why.startswith("scores") for why in found.unchecked)
    broken = hidden.with_columns(at(range(3), None, "feature.distance_miles"))
    still = looked(live, broken, hashed=hashed)
    assert still.verdict == "skew"
    assert ("missing", "distance_miles", 3) in still.counts


def test_the_list_is_bounded_and_the_counts_are_of_all(live: Live) -> None:
    gone = [each.name for each in live.features if not each.nullable]
    logged = live.log(live.unseen[:5000]).with_columns(
        *(pl.lit(None).alias(f"feature.{name}") for name in gone), score=pl.lit(2.0)
    )
    found = looked(live, logged)
    assert (found.rows, found.sampled) == (5000, SAMPLE)
    assert {column for kind, column, number in found.counts if number == SAMPLE} >= set(gone)
    assert len(gone) > 4
    assert len(found.differences) == 20


def test_the_sample_does_not_depend_on_the_order_of_the_log(
    live: Live, logged: pl.DataFrame
) -> None:
    spoilt = logged.with_columns(at(range(0, 600, 3), 0.123, "score"))
    found = looked(live, spoilt, sample=90)
    assert found.sampled == 90
    assert found == looked(live, spoilt.reverse(), sample=90)
    assert found != skew(live.candidate, live.features, spoilt, seed=2, sample=90)


def test_an_empty_log_is_not_passed(live: Live, logged: pl.DataFrame) -> None:
    found = looked(live, logged.clear())
    assert (found.verdict, found.reasons) == ("not checked", ("there are no logged rows",))


def test_a_frame_that_is_no_log_is_refused(live: Live, logged: pl.DataFrame) -> None:
    with pytest.raises(DataError) as caught:
        looked(live, logged.drop("digest", "row"))
    assert caught.value.where == "row, digest"


def test_an_altered_model_file_is_not_loaded(
    live: Live, logged: pl.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "model.skops"
    file.write_bytes(Path(live.candidate.model_uri.removeprefix("file://")).read_bytes() + b" ")
    altered = replace(live.candidate, model_uri=str(file))
    with pytest.raises(AlteredObject):
        skew(altered, live.features, logged, seed=1)

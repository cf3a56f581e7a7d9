"""ONNX Runtime is used only where it says the same, and the model's own answer is never lost."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from mlops_tasks.artifacts import Columns
from mlops_tasks.errors import DataError
from mlops_tasks.inference import onnx
from mlops_tasks.inference.features import Feature, features_of
from mlops_tasks.inference.onnx import difference, probes
from mlops_tasks.inference.predictors import NativePredictor, OnnxPredictor
from mlops_tasks.inference.serving_form import (
    ServingForm,
    blank_row,
    decode,
    encode,
    form_of,
    predictor_of,
)

NUMBERS = ("a", "b")
COLUMNS = Columns(("id",), "y", NUMBERS, ("kind",))
PLAIN = Columns(("id",), "y", NUMBERS, ())


def rows(count: int = 600, *, missing: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=count), rng.integers(0, 40, count)
    kind = rng.choice(["red", "green", "blue"], count)
    y = ((a > 0) ^ (b > 20) ^ (kind == "red")).astype(int)
    found: list[Any] = a.tolist()
    if missing:
        found[::7] = [None] * len(found[::7])
    return pl.DataFrame({"id": range(count), "a": found, "b": b, "kind": kind, "y": y})


def encoder(categories: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [("numbers", "passthrough", list(NUMBERS)), ("kinds", categories, ["kind"])]
    )


ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
ONE_HOT = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
BOOSTING = HistGradientBoostingClassifier(max_iter=20, random_state=1)
MODELS = {
    "boosting": (make_pipeline(encoder(ORDINAL), BOOSTING), COLUMNS, True),
    "boosting of numbers": (make_pipeline(BOOSTING), PLAIN, True),
    "forest": (
        make_pipeline(encoder(ORDINAL), RandomForestClassifier(20, random_state=1)),
        COLUMNS,
        False,
    ),
    "linear": (
        make_pipeline(encoder(ONE_HOT), StandardScaler(), LogisticRegression()),
        COLUMNS,
        False,
    ),
}


def fitted(name: str) -> tuple[Any, Columns, pl.DataFrame]:
    model, columns, missing = MODELS[name]
    frame = rows(missing=missing)
    return model.fit(frame.select(columns.features), frame["y"]), columns, frame


@pytest.mark.parametrize("name", MODELS)
def test_a_converted_model_says_what_the_model_says(name: str) -> None:
    model, columns, frame = fitted(name)
    form, content = form_of(model, frame, frame, columns)

    assert (form.predictor, form.reason) == ("onnx", "")
    assert form.largest_difference is not None
    assert form.largest_difference <= onnx.TOLERANCE
    assert form.compared_rows > frame.height
    predictor, why = predictor_of(form, model, content)
    asked = frame.select(columns.features)
    assert (predictor.kind, why) == ("onnx", "")
    assert np.allclose(predictor.scores(asked.rows()), model.predict_proba(asked)[:, 1], atol=1e-5)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(-(2.0**100), 2.0**100, width=32),
            st.integers(-(2**20), 2**20),
            st.sampled_from(["red", "green", "blue", "never seen", ""]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_rows_that_nobody_had_get_the_same_scores(asked: list[tuple[Any, ...]]) -> None:
    model, native, predictor = boosting()
    schema = {"a": pl.Float64, "b": pl.Int64, "kind": pl.String}
    expected = model.predict_proba(pl.DataFrame(asked, schema=schema, orient="row"))[:, 1]

    assert np.allclose(predictor.scores(asked), expected, atol=1e-5)
    assert native.scores(asked) == expected.tolist()


def boosting(kept: dict[str, Any] = {}) -> Any:  # noqa: B006 - fitted once
    if not kept:
        model, columns, frame = fitted("boosting")
        form, content = form_of(model, frame, frame, columns)
        native = NativePredictor(model, form.features)
        kept["all"] = model, native, predictor_of(form, model, content)[0]
    return kept["all"]


def test_a_model_that_differs_is_not_converted() -> None:
    """Two numbers that are one in 32 bits, and a tree that tells them apart."""
    rng = np.random.default_rng(1)
    base = 2.0**24 + rng.integers(0, 2, 400)
    frame = pl.DataFrame({"id": range(400), "a": base, "b": rng.integers(0, 9, 400)})
    frame = frame.with_columns((pl.col("a") % 2).cast(pl.Int64).alias("y"))
    model = HistGradientBoostingClassifier(max_iter=20).fit(frame.select(NUMBERS), frame["y"])

    form, content = form_of(model, frame, frame, PLAIN)

    assert (form.predictor, content) == ("native", None)
    assert "away" in form.reason
    assert form.largest_difference is not None
    assert form.largest_difference > 0.1


def test_a_model_without_a_converter_is_served_natively_with_the_reason() -> None:
    frame = rows()
    model = make_pipeline(FunctionTransformer(np.abs), LogisticRegression())
    model.fit(frame.select(NUMBERS), frame["y"])

    form, content = form_of(model, frame, frame, PLAIN)

    assert (form.predictor, content) == ("native", None)
    assert "cannot be converted" in form.reason
    assert form.largest_difference is None


def test_missing_text_is_served_natively() -> None:
    frame = rows()
    frame = frame.with_columns(
        pl.when(pl.col("id") % 5 == 0).then(None).otherwise("kind").alias("kind")
    )
    model = make_pipeline(encoder(ORDINAL), BOOSTING).fit(
        frame.select(COLUMNS.features), frame["y"]
    )

    form, _ = form_of(model, frame, frame, COLUMNS)

    assert (form.predictor, form.reason) == ("native", "ONNX has no missing text")


def test_without_the_packages_it_is_native_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, columns, frame = fitted("boosting")
    monkeypatch.setitem(sys.modules, "skl2onnx", None)

    form, content = form_of(model, frame, frame, columns)

    assert (form.predictor, content, form.reason) == ("native", None, onnx.NO_PACKAGES)


def test_a_runtime_that_cannot_load_it_leaves_the_model_to_answer() -> None:
    model, columns, frame = fitted("boosting")
    form, _ = form_of(model, frame, frame, columns)

    predictor, why = predictor_of(form, model, b"not an ONNX model")

    assert predictor.kind == "native"
    assert "cannot load" in why


def test_the_same_model_gives_the_same_bytes_in_every_process() -> None:
    program = (
        "from tests.inference.test_onnx import *; m, c, f = fitted('boosting');"
        "form, content = form_of(m, f, f, c); print(sha256(content), sha256(encode(form)))"
    )

    # The converter's own order of its operator sets differs between these seeds.
    first, second = (python(program, seed) for seed in (3, 4))

    assert first == second
    assert len(first.split()) == 2


def python(program: str, seed: int) -> str:
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, text=True, env=environment)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Stubborn:
    """An estimator whose scores are given."""

    def __init__(self, scores: list[float]) -> None:
        self.scores_given = scores

    def scores(self, rows: Any) -> list[float]:
        return self.scores_given[: len(rows)]


@pytest.mark.parametrize(
    ("own", "other", "same"),
    [
        ([0.2, 0.9], [0.2, 0.9], True),
        ([0.2, 0.9], [0.2, 0.9 + 9e-6], True),
        ([0.2, 0.9], [0.2, 0.9 + 2e-5], False),
        ([0.5, 0.9], [0.5 - 1e-7, 0.9], False),  # another prediction
        ([0.2, 0.9], [0.2, float("nan")], False),
    ],
)
def test_what_is_the_same(own: list[float], other: list[float], same: bool) -> None:
    found = difference(Stubborn(other), Stubborn(own), [(1,), (2,)])  # type: ignore[arg-type]

    try:
        onnx.require_same(found)
    except onnx.NotTheSame:
        assert not same
    else:
        assert same


def test_probes_stay_within_what_columns_can_hold() -> None:
    features = (
        Feature("small", "integer", pl.Int8(), False),
        Feature("count", "integer", pl.UInt16(), True),
        Feature("kind", "text", pl.Enum(["a", "b"]), False, ("a", "b")),
        Feature("flag", "boolean", pl.Boolean(), False),
    )
    made = probes([(1, 2, "a", True)], features)

    pl.DataFrame(
        [list(column) for column in zip(*made, strict=True)],
        schema={each.name: each.dtype for each in features},
    )
    assert {row[0] for row in made} >= {-128, 127, 0}
    assert {row[1] for row in made} >= {0, 65535, None}


class Overflowing:
    """A session that has no number for large values."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        [found] = self._session.run(names, feed)
        found[feed["rows"][:, 0] > 1e38] = np.nan
        return [found]


def test_scores_that_are_no_numbers_are_asked_of_the_model_itself() -> None:
    frame = rows()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(frame.select(NUMBERS), frame["y"])
    features = features_of((frame,), PLAIN)
    native = NativePredictor(model, features)
    predictor = OnnxPredictor(onnx.convert(model, features, True), native, features)
    predictor._session = Overflowing(predictor._session)
    asked = [(3.4e38, 0), (0.5, 3)]

    assert predictor.scores(asked) == pytest.approx(native.scores(asked), abs=1e-5)
    assert all(np.isfinite(predictor.scores(asked)))
    assert predictor.at_once(asked) is None, "the model itself may take long"
    assert predictor.at_once(asked[1:]) == predictor.scores(asked[1:])


DTYPES = {
    "float": [pl.Float32(), pl.Float64()],
    "integer": [pl.Int8(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt64()],
    "boolean": [pl.Boolean()],
    "text": [pl.String(), pl.Categorical(), pl.Enum(["a", "b"])],
}
FEATURES = st.sampled_from([(kind, dtype) for kind in DTYPES for dtype in DTYPES[kind]])


@given(st.lists(st.tuples(st.text(min_size=1), FEATURES, st.booleans()), min_size=1, max_size=5))
def test_a_form_is_read_back_as_it_was_written(raw: list[Any]) -> None:
    features = tuple(
        Feature(name, kind, dtype, nullable, ("a", "b") if isinstance(dtype, pl.Enum) else ())
        for name, (kind, dtype), nullable in raw
    )
    form = ServingForm(features, "native", "because", 1.5e-7, 17)

    assert decode(encode(form)) == form
    assert encode(decode(encode(form))) == encode(form)
    assert len(blank_row(form.features)) == len(features)


FORM = b"""{"features": [{"name": "a", "kind": "%s", "dtype": "%s", "nullable": false,
"choices": []}], "predictor": "%s"}"""


def test_the_form_that_the_wrong_ones_are_made_of_is_right() -> None:
    assert decode(FORM % (b"float", b"Float64", b"native")).predictor == "native"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"features": [], "predictor": "onnx"}',
        b'{"features": [], "predictor": "native"}',
        b'{"features": [{"name": "a"}], "predictor": "native"}',
        FORM % (b"float", b"Object", b"native"),
        FORM % (b"code", b"Int8", b"native"),
        FORM % (b"float", b"Float64", b"pickle"),
        FORM % (b"float", b"Float64", b"none"),
    ],
)
def test_what_is_no_form_is_refused(content: bytes) -> None:
    with pytest.raises(DataError):
        decode(content)


def test_a_form_that_names_an_onnx_model_that_is_not_there_is_refused() -> None:
    model, columns, frame = fitted("boosting")
    form, _ = form_of(model, frame, frame, columns)

    with pytest.raises(DataError, match="not there"):
        predictor_of(form, model, None)


def test_columns_that_http_has_no_word_for_are_said_at_registration_and_refused_at_load() -> None:
    frame = rows().with_columns(pl.date(2026, 1, 1).alias("kind"))

    form, content = form_of(None, frame, frame, COLUMNS)  # type: ignore[arg-type]

    assert (form.predictor, content) == ("none", None)
    assert "kind" in form.reason
    assert decode(encode(form)) == form
    with pytest.raises(DataError, match="HTTP"):
        predictor_of(form, None, None)  # type: ignore[arg-type]


def test_missing_values_of_the_comparison_rows_may_be_sent_too() -> None:
    train, comparison = rows(), rows(missing=True)

    found = {each.name: each.nullable for each in features_of((train, comparison), COLUMNS)}

    assert found == {"a": True, "b": False, "kind": False}

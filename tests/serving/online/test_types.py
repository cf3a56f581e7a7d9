"""Every type that a column can have, over HTTP: what fits scores as the model does, else a 4xx."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_tasks.artifacts import Columns
from mlops_tasks.errors import DataError
from mlops_tasks.inference.serving_form import form_of, predictor_of
from mlops_tasks.serving.online import shelf
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.schema import LONGEST_TEXT, RowSchema
from tests.registry.life import Life
from tests.serving.online.conftest import STILL, Running, placed, running

KINDS = ("red", "green", "blue")
EXACT = 2**53
NUMBERS = ("amount", "gap", "small", "byte", "big", "flag")
WORDS = ("word", "kind", "cat")
COLUMNS = Columns(("id",), "late", NUMBERS, WORDS)
TYPES: dict[str, Any] = {
    **{"amount": pl.Float64, "gap": pl.Float64, "small": pl.Int8, "byte": pl.UInt8},
    **{"big": pl.Int64, "flag": pl.Boolean},
    **{"word": pl.String, "kind": pl.Enum(KINDS), "cat": pl.Categorical},
}
GOOD: dict[str, Any] = {
    **{"amount": 0.5, "gap": 0.25, "small": 3, "byte": 200, "big": EXACT + 1, "flag": True},
    **{"word": "late", "kind": "red", "cat": "north"},
}


def training_rows(count: int = 800) -> pl.DataFrame:
    """The target depends on every column, so that a value that is read wrongly moves the score."""
    rng = np.random.default_rng(11)
    values: dict[str, Any] = {
        "amount": rng.normal(size=count).tolist(),
        "gap": [None if n % 5 == 0 else float(v) for n, v in enumerate(rng.normal(size=count))],
        "small": rng.integers(-100, 100, count).tolist(),
        "byte": rng.integers(0, 255, count).tolist(),
        "big": [int(v) + EXACT for v in rng.integers(-(10**6), 10**6, count)],
        "flag": (rng.random(count) < 0.5).tolist(),
        "word": rng.choice(["late", "on time", "größer"], count).tolist(),
        "kind": rng.choice(KINDS, count).tolist(),
        "cat": rng.choice(["north", "south"], count).tolist(),
    }
    parts = [
        [v > 0 for v in values["amount"]],
        [v is None for v in values["gap"]],
        [v > 0 for v in values["small"]],
        [v > 128 for v in values["byte"]],
        [v > EXACT for v in values["big"]],
        values["flag"],
        [v == "late" for v in values["word"]],
        [v == "red" for v in values["kind"]],
        [v == "north" for v in values["cat"]],
    ]
    late = (np.array(parts).sum(axis=0) + rng.normal(0, 0.5, count) > 4.5).astype(int)
    columns = [pl.Series(name, values[name], TYPES[name]) for name in TYPES]
    return pl.DataFrame([pl.Series("id", range(count)), *columns, pl.Series("late", late)])


def fitted(rows: pl.DataFrame) -> Pipeline:
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [("numbers", "passthrough", list(NUMBERS)), ("words", words, list(WORDS))]
    model = make_pipeline(
        ColumnTransformer(parts), HistGradientBoostingClassifier(max_iter=60, random_state=1)
    )
    return model.fit(rows.select(COLUMNS.features), rows["late"])


ROWS = training_rows()
MODEL = fitted(ROWS)


@pytest.fixture(scope="module")
def typed(trained: Life) -> Iterator[Running]:
    """A server whose champion has a column of every type."""
    form, onnx = form_of(MODEL, ROWS, ROWS, COLUMNS)
    predictor, why = predictor_of(form, MODEL, onnx)
    load = shelf.load_version

    def with_types(*words: Any, **named: Any) -> Any:
        schema = RowSchema(form.features, STILL.max_rows)
        return replace(load(*words, **named), schema=schema, predictor=predictor, slow_because=why)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "load_version", with_types)
        with running(application(placed(trained), STILL)) as server:
            server.wait_for(2)
            yield server


def own_score(row: dict[str, Any]) -> float:
    """What the model itself says to the row."""
    frame = pl.DataFrame([pl.Series(name, [row.get(name)], TYPES[name]) for name in TYPES])
    return float(MODEL.predict_proba(frame.select(COLUMNS.features))[0, 1])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        *({"amount": value} for value in (0, 1, -3, 1e-300, -0.0, 3.4e38, EXACT + 1)),
        *({"gap": value} for value in (None, 0, 1.5)),
        *({"small": value} for value in (-128, 127, 0, -1)),
        *({"byte": value} for value in (0, 255)),
        *({"big": value} for value in (0, EXACT - 1, EXACT + 3, 2**63 - 1, -(2**63))),
        *({"flag": value} for value in (True, False)),
        *({"word": value} for value in ("late", "größer", "", "never seen", "\u0000", "😀")),
        *({"kind": value} for value in KINDS),
        *({"cat": value} for value in ("north", "south", "never seen")),
    ],
    ids=str,
)
def test_what_fits_scores_as_the_model_itself_does(typed: Running, changed: dict[str, Any]) -> None:
    answer = typed.ask("POST", "predict", json=GOOD | changed)

    assert answer.status_code == 200, answer.text
    [found] = answer.json()["predictions"]
    assert found["score"] == pytest.approx(own_score(GOOD | changed), abs=1e-5)


def test_each_column_counts() -> None:
    """Or the test above would not see a value that is read wrongly."""
    other = {"amount": -2, "gap": None, "small": -90, "byte": 3, "big": 0, "flag": False}
    other |= {"word": "on time", "kind": "blue", "cat": "south"}
    for name, value in other.items():
        assert abs(own_score(GOOD | {name: value}) - own_score(GOOD)) > 1e-3, name


def test_a_value_may_be_left_out_only_where_training_had_missing_ones(typed: Running) -> None:
    for name in TYPES:
        row = {key: value for key, value in GOOD.items() if key != name}
        answer = typed.ask("POST", "predict", json=row)
        if name == "gap":
            [found] = answer.json()["predictions"]
            assert found["score"] == pytest.approx(own_score(row), abs=1e-5)
        else:
            said = answer.json()
            assert (answer.status_code, said["code"], said["field"]) == (422, "missing", name)


NOW = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
WRONG: list[tuple[str, list[Any]]] = [
    ("amount", ["1.5", "", "NaN", NOW, True, None, [1.0], {"a": 1}, 3.5e38, -1e300]),
    ("gap", ["1.5", False, [], 1e39]),
    ("small", [128, -129, 1.5, 3.0, "3", True, None, NOW, [3], 2**53, 1e300]),
    ("byte", [-1, 256, 0.5, "0", False, None]),
    ("big", [2**63, -(2**63) - 1, 10**30, 1.5, float(2**70), "1", True, None, NOW]),
    ("flag", [0, 1, "true", "True", None, [], 1.0]),
    ("word", [1, 1.5, True, None, ["late"], "x" * (LONGEST_TEXT + 1)]),
    ("kind", ["Red", "", "purple", 0, None, True, ["red"], NOW, "red" * 9000]),
    ("cat", [1, None, False, {}]),
]


@pytest.mark.parametrize(
    ("field", "value"), [(name, value) for name, values in WRONG for value in values]
)
@pytest.mark.parametrize("many", [False, True])
def test_what_does_not_fit_is_refused_by_name(
    typed: Running, field: str, value: Any, many: bool
) -> None:
    row = GOOD | {field: value}
    answer = typed.ask("POST", "predict", json=[GOOD, row] if many else row)

    said = answer.json()
    place = (said["field"], said["row"])
    assert (answer.status_code, said["code"], place) == (
        422,
        "invalid",
        (field, 1 if many else None),
    )
    assert said["message"]
    assert len(answer.content) < 400, "what was sent is not thrown back"


@pytest.mark.parametrize("number", [b"1" + b"0" * 400, b"-1e400", b"1e400", b"9" * 5000])
@pytest.mark.parametrize("field", ["amount", "big"])
def test_numbers_that_no_machine_holds_are_refused(
    typed: Running, field: str, number: bytes
) -> None:
    body = httpx.Request("POST", "http://x", json=GOOD | {field: -7.125}).content
    answer = typed.ask(
        "POST",
        "predict",
        content=body.replace(b"-7.125", number),
        headers={"content-type": "application/json"},
    )

    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["field"] == field
    assert len(answer.content) < 400


def test_a_column_of_dates_cannot_be_asked_for_and_is_said() -> None:
    rows = ROWS.with_columns(pl.lit(datetime(2026, 1, 2, tzinfo=UTC)).alias("amount"))
    form, _ = form_of(MODEL, rows, rows, COLUMNS)

    assert form.predictor == "none"
    assert "'amount' is Datetime" in form.reason
    with pytest.raises(DataError, match="cannot be asked over HTTP"):
        predictor_of(form, MODEL, None)

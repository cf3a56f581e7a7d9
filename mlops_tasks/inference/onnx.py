"""A scikit-learn model as ONNX, and the proof that it says the same on the comparison rows.

ONNX Runtime answers some hundred times faster, in 32-bit floats. It is used only where, on all
comparison rows and on rows made from them (missing and unknown values, extremes), each score
differs by at most `TOLERANCE` and each prediction is equal; the model itself answers otherwise.

Guarantees, each held by a test: a conversion that fails or differs is not given back, and the
reason is; the same model gives the same bytes, in every process.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_tasks.evaluation.metrics import THRESHOLD
from mlops_tasks.inference.features import LARGEST_FLOAT, Feature, Row
from mlops_tasks.inference.predictors import INPUT, NativePredictor, OnnxPredictor, Predictor

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

TOLERANCE = 1e-5
CHUNK_ROWS = 2000
PROBED_ROWS = 20
NAME = "model"
NOT_SEEN = "\N{SNOWMAN} not seen in training"
NO_PACKAGES = "skl2onnx and onnxruntime are not installed (mlops-tasks[serving])"


class NotTheSame(Exception):
    """Why a model is served by scikit-learn."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A model as ONNX, if that says the same; `reason` why not, if it does not.

    `largest_difference` is that of two scores over `rows` rows, and None where there was nothing
    to compare.
    """

    content: bytes | None
    reason: str
    largest_difference: float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two predictors are from each other."""

    largest: float
    row: int
    changed_predictions: int


def converted(
    estimator: "BaseEstimator",
    native: NativePredictor,
    features: Sequence[Feature],
    comparison: pl.DataFrame,
) -> Conversion:
    """Convert a model, and hold it against itself on the comparison rows.

    Parameters
    ----------
    estimator, native, features
        The model, its own predictor, and its columns.
    comparison
        The rows that the model was judged on.
    """
    rows = comparison.select([each.name for each in features]).rows()
    rows += probes(rows[:PROBED_ROWS], features)
    reason, largest = "", None
    for together in (True, False):
        try:
            content = convert(estimator, features, together)
            with _silent():  # extremes overflow in both
                found = difference(_predictor(content, native, features), native, rows)
            largest = found.largest
            require_same(found)
        except NotTheSame as error:
            if largest is None or not reason:  # that it differs says more than another way to fail
                reason = str(error)
        else:
            return Conversion(content, "", largest, len(rows))
    return Conversion(None, reason, largest, len(rows))


def difference(other: Predictor, native: Predictor, rows: Sequence[Row]) -> Difference:
    """Compare two predictors row by row.

    Raises
    ------
    NotTheSame
        If one of them has no score for a row.
    """
    largest, place, changed = 0.0, 0, 0
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        try:
            pairs = list(zip(other.scores(chunk), native.scores(chunk), strict=True))
        except Exception as error:  # the runtime's errors have no family
            raise NotTheSame(f"it cannot score: {_first_line(error)}") from error
        for number, (score, own) in enumerate(pairs, start):
            apart = abs(score - own)
            changed += (score >= THRESHOLD) != (own >= THRESHOLD)
            if not apart <= largest:  # also where it is not a number
                largest, place = apart, number
    return Difference(largest, place, changed)


def require_same(found: Difference) -> None:
    """Refuse what is too far apart.

    Raises
    ------
    NotTheSame
        If a score differs by more than `TOLERANCE`, or a prediction differs.
    """
    if not found.largest <= TOLERANCE:
        raise NotTheSame(f"row {found.row}: its score is {found.largest:.3g} away")
    if found.changed_predictions:
        raise NotTheSame(f"{found.changed_predictions} rows get another prediction")


def probes(rows: Sequence[Row], features: Sequence[Feature]) -> list[Row]:
    """The given rows with one value changed each: missing, never seen, zero, extreme."""
    made = []
    for place, feature in enumerate(features):
        values: list[Any] = [None] if feature.nullable else []
        if feature.kind == "float":
            values += [0.0, 2.0**24, LARGEST_FLOAT, -LARGEST_FLOAT, 0.1]
        elif feature.kind == "integer":
            values += [0, *feature.bounds]
        elif feature.kind == "text":
            values += feature.choices or [NOT_SEEN, ""]
        else:
            values += [True, False]
        for value in values:
            made += [(*row[:place], value, *row[place + 1 :]) for row in rows]
    return made


def convert(estimator: "BaseEstimator", features: Sequence[Feature], together: bool) -> bytes:
    """An ONNX model with one input for all columns, or with one for each.

    Raises
    ------
    NotTheSame
        If it cannot be made.
    """
    texts = [each for each in features if each.kind == "text"]
    if any(each.nullable for each in texts):
        raise NotTheSame("ONNX has no missing text")
    if together and texts:
        raise NotTheSame("text and numbers do not fit into one input")
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    except ImportError as error:
        raise NotTheSame(NO_PACKAGES) from error
    inputs: list[tuple[str, Any]] = [(INPUT, FloatTensorType([None, len(features)]))]
    if not together:
        kinds = [StringTensorType if each in texts else FloatTensorType for each in features]
        pairs = zip(features, kinds, strict=True)
        inputs = [(each.name, kind([None, 1])) for each, kind in pairs]
    try:
        with _silent():
            model = convert_sklearn(
                estimator,
                name=NAME,  # random otherwise
                initial_types=inputs,
                options={"zipmap": False},
                custom_conversion_functions=_boosting(),
            )
        model.opset_import.sort(key=lambda each: each.domain)  # comes out of a set
        content: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:  # the converter's errors have no family
        raise NotTheSame(f"it cannot be converted: {_first_line(error)}") from error
    return content


def _predictor(
    content: bytes, native: NativePredictor, features: Sequence[Feature]
) -> OnnxPredictor:
    try:
        return OnnxPredictor(content, native, features)
    except ImportError as error:
        raise NotTheSame(NO_PACKAGES) from error
    except Exception as error:  # the runtime's errors have no family
        raise NotTheSame(f"it cannot be loaded: {_first_line(error)}") from error


def _boosting() -> dict[Any, Any]:
    """The converter of histogram boosting writes booleans where protobuf 7 wants integers."""
    from skl2onnx import supported_converters
    from skl2onnx.common._registration import get_converter
    from sklearn.ensemble import HistGradientBoostingClassifier

    name = f"Sklearn{HistGradientBoostingClassifier.__name__}"
    if name not in supported_converters():
        return {}

    def converter(scope: Any, operator: Any, container: Any) -> None:
        get_converter(name)(scope, operator, _Integers(container))

    return {HistGradientBoostingClassifier: converter}


class _Integers:
    """A container of nodes that takes booleans in lists for integers."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *words: Any, **attributes: Any) -> Any:
        flags = "nodes_missing_value_tracks_true"
        if flags in attributes:
            attributes[flags] = [int(each) for each in attributes[flags]]
        return self._container.add_node(*words, **attributes)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    logger = logging.getLogger("skl2onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__

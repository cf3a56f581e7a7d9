"""What a server needs to know of a model: its columns, and which predictor answers for it.

Decided once, when the model is registered, with the training and the comparison rows at hand; a
server reads it from the sealed package and needs neither those rows nor a converter. Where it is
kept and how it is sealed is the affair of `registry`.

Guarantees, each held by a test: reading gives back what was written; the same model gives the same
bytes; a form that says "onnx" without an ONNX model, or is no form at all, is refused.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.encoding import canonical
from mlops_tasks.errors import DataError
from mlops_tasks.inference.features import Feature, Kind, features_of
from mlops_tasks.inference.onnx import converted
from mlops_tasks.inference.predictors import NativePredictor, OnnxPredictor, Predictor

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Kept = Literal["onnx", "native", "none"]
# A type is read back by its name, and only if it stands here.
_TYPES: dict[str, pl.DataType] = {
    kind.__name__: kind()
    for kind in (
        *(pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Categorical),
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    )
}
_ENUM = "Enum"


@dataclass(frozen=True, slots=True)
class ServingForm:
    """How a model is asked.

    `predictor` is "onnx" where the converted model says the same, "native" where the model itself
    must answer, "none" where its columns cannot be sent over HTTP; `reason` says why it is not
    "onnx". `largest_difference` is that of the two predictors' scores over `compared_rows` rows,
    None where they were not compared.
    """

    features: tuple[Feature, ...]
    predictor: Kept
    reason: str = ""
    largest_difference: float | None = None
    compared_rows: int = 0


def form_of(
    estimator: "BaseEstimator", train: pl.DataFrame, comparison: pl.DataFrame, columns: Columns
) -> tuple[ServingForm, bytes | None]:
    """Decide how a model is to be served; gives the ONNX model too where it is used.

    Parameters
    ----------
    estimator
        The fitted model.
    train, comparison
        The rows that it learned from and those it was judged on.
    columns
        What the columns are.
    """
    try:
        features = features_of((train, comparison), columns)
    except DataError as error:
        return ServingForm((), "none", error.what), None
    unknown = [each for each in features if _name(each.dtype) not in {*_TYPES, _ENUM}]
    if unknown:
        reason = f"column {unknown[0].name!r} is {unknown[0].dtype}, which servers do not know"
        return ServingForm((), "none", reason), None
    found = converted(estimator, NativePredictor(estimator, features), features, comparison)
    largest = found.largest_difference
    form = ServingForm(
        features,
        "native" if found.content is None else "onnx",
        found.reason,
        float(f"{largest:.3g}") if largest is not None and largest == largest else None,
        found.rows,
    )
    return form, found.content


def predictor_of(
    form: ServingForm, estimator: "BaseEstimator", onnx: bytes | None
) -> tuple[Predictor, str]:
    """The predictor that a form asks for, and why it is not ONNX Runtime if it is not.

    A runtime that is not there, or is too old for the model, leaves the model itself to answer.

    Raises
    ------
    DataError
        If the form has no columns, or says "onnx" where there is no ONNX model.
    """
    if form.predictor == "none":
        raise DataError(
            f"the model cannot be asked over HTTP: {form.reason}",
            next_step="give the model a number, a boolean or text in its place, and train again",
        )
    native = NativePredictor(estimator, form.features)
    if form.predictor == "native":
        return native, form.reason
    if onnx is None:
        raise _malformed("the ONNX model that it names is not there")
    try:
        return OnnxPredictor(onnx, native, form.features), ""
    except Exception as error:  # the runtime's errors have no family
        return native, f"ONNX Runtime cannot load it here: {type(error).__name__}"


def blank_row(features: Sequence[Feature]) -> tuple[Any, ...]:
    """A row of a model's types that nobody sent: zeros, and the first choice or no text."""
    blanks: dict[Kind, Any] = {"float": 0.0, "integer": 0, "boolean": False, "text": ""}
    return tuple(each.choices[0] if each.choices else blanks[each.kind] for each in features)


def encode(form: ServingForm) -> bytes:
    """Write a form as JSON; equal forms give equal bytes."""
    columns = [
        {
            "name": each.name,
            "kind": each.kind,
            "dtype": _name(each.dtype),
            "nullable": each.nullable,
            "choices": each.choices,
        }
        for each in form.features
    ]
    return canonical(
        {
            "features": columns,
            "predictor": form.predictor,
            "reason": form.reason,
            "largest_difference": form.largest_difference,
            "compared_rows": form.compared_rows,
        }
    )


def decode(content: bytes) -> ServingForm:
    """Read what `encode` wrote.

    Raises
    ------
    DataError
        If it is not such a form.
    """
    try:
        raw = json.loads(content)
        raw["features"] = tuple(_feature(each) for each in raw["features"])
        form = ServingForm(**raw)
        answerable = form.predictor in ("onnx", "native")
        if form.predictor not in get_args(Kept) or answerable != bool(form.features):
            raise ValueError("features and predictor do not go together")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _malformed(f"{type(error).__name__}: {error}"[:200]) from error
    return form


def _feature(raw: dict[str, Any]) -> Feature:
    choices = tuple(raw["choices"])
    dtype = pl.Enum(choices) if raw["dtype"] == _ENUM else _TYPES[raw["dtype"]]
    if raw["kind"] not in get_args(Kind):
        raise ValueError(f"no kind of column: {raw['kind']!r}")
    return Feature(str(raw["name"]), raw["kind"], dtype, bool(raw["nullable"]), choices)


def _name(dtype: pl.DataType) -> str:
    return dtype.base_type().__name__


def _malformed(why: str) -> DataError:
    return DataError(
        f"this is no serving form: {why}",
        where="serving.json",
        next_step="register the model again with this version of mlops-tasks",
    )

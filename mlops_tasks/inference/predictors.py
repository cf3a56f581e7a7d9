"""Scores for rows: by the scikit-learn model itself, or by ONNX Runtime.

Whether a model may be served by ONNX Runtime is `conversion`'s affair.

Guarantees, each held by a test: `OnnxPredictor` never answers with what is not a number, and where
ONNX Runtime breaks it does not either: it asks the model itself, but never at once, for nobody
knows how long that takes; what a model says to a value that it cannot take is a `ValueError`,
whatever library said it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from mlops_tasks.inference.features import Feature, Row

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

# How libraries refuse a value; anything else is a model that is broken.
REFUSALS = (ArithmeticError, pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError)
QUICK_ROWS = 200
INPUT = "rows"


class Predictor(Protocol):
    """Scores rows; each row holds its values in the order of the features."""

    kind: str

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """The probability of the positive class of every row.

        Raises
        ------
        ValueError
            If the model refuses a value.
        """

    def at_once(self, rows: Sequence[Row]) -> list[float] | None:
        """The scores, if they take less time than handing the rows to another thread would.

        None where `scores` must be asked, elsewhere.
        """


class NativePredictor:
    """The estimator as it was judged.

    Parameters
    ----------
    estimator
        Fitted on a frame of these features.
    features
        Columns in the model's order.
    """

    kind = "native"

    def __init__(self, estimator: "BaseEstimator", features: Sequence[Feature]) -> None:
        from threadpoolctl import ThreadpoolController

        self._estimator: Any = estimator
        self._features = tuple(features)
        self._threads = ThreadpoolController()

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """See `Predictor`."""
        columns = zip(self._features, zip(*rows, strict=True), strict=True)
        frame = pl.DataFrame([pl.Series(each.name, values, each.dtype) for each, values in columns])
        # Requests run side by side: threads inside each would wait for one another.
        with self._threads.limit(limits=1):
            try:
                found: list[float] = self._estimator.predict_proba(frame)[:, 1].tolist()
            except REFUSALS as error:
                raise ValueError(f"the model refuses a value: {type(error).__name__}") from error
        return found

    def at_once(self, rows: Sequence[Row]) -> None:
        """See `Predictor`."""
        return None


class OnnxPredictor:
    """A converted model.

    Parameters
    ----------
    content
        The ONNX model: either one input `rows` for all features, or one for each.
    native
        Asked where the converted model has no answer.
    features
        Columns in the model's order, numbers before text.
    """

    kind = "onnx"

    def __init__(
        self, content: bytes, native: NativePredictor, features: Sequence[Feature]
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: what it throws is seen to here
        self._session: Any = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self._native = native
        self._numbers = sum(each.kind != "text" for each in features)
        self._texts = [each.name for each in features[self._numbers :]]
        self._columns = [each.name for each in features[: self._numbers]]
        self._together = [each.name for each in self._session.get_inputs()] == [INPUT]

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """See `Predictor`."""
        found = self._converted(rows)
        return self._native.scores(rows) if found is None else found

    def at_once(self, rows: Sequence[Row]) -> list[float] | None:
        """See `Predictor`."""
        return self._converted(rows) if len(rows) <= QUICK_ROWS else None

    def _converted(self, rows: Sequence[Row]) -> list[float] | None:
        """None where ONNX Runtime has no answer, for example to a category that it was not told."""
        count = self._numbers
        plain = [row[:count] for row in rows] if self._texts else rows
        numbers = np.array(plain, dtype=np.float32)  # a missing value becomes NaN
        feed: dict[str, Any] = {INPUT: numbers}
        if not self._together:
            feed = {name: numbers[:, i : i + 1] for i, name in enumerate(self._columns)}
            for place, name in enumerate(self._texts, count):
                feed[name] = np.array([[row[place]] for row in rows], dtype=object)
        try:
            found = self._session.run(["probabilities"], feed)[0][:, 1]
        except Exception:  # what it throws has no common base
            return None
        if not np.isfinite(found).all():
            return None
        scores: list[float] = found.tolist()
        return scores

"""A cloud of embeddings in a few figures, and its points as a few plain columns.

The summary of the reference is its mean and the directions in which it spreads most; no embedding
is kept. A window is projected onto the same directions, and the columns go to `profile_of` and
`count` like any others. A cloud that moved in all dimensions a little is seen better by
`domain.domain_drift`, which takes the embeddings as they are.

Guarantees, each held by a test: directions are of length one and at right angles, in the order of
their spread, each with its largest component positive; the projection of the reference has mean
zero and the stated spreads; the same embeddings give the same summary.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_tasks.drift.bins import Array
from mlops_tasks.errors import DataError

DIRECTIONS = 8
DIGITS = 9


@dataclass(frozen=True, slots=True)
class EmbeddingSummary:
    """Mean, directions of largest spread with the standard deviation along each, and of the rest.

    `rest` is the root of the mean squared distance from the plane of the directions.
    """

    mean: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    spreads: tuple[float, ...]
    rest: float

    def __post_init__(self) -> None:
        if {len(each) for each in self.directions} - {len(self.mean)}:
            raise ValueError("a direction does not have the dimensions of the mean")
        if len(self.directions) != len(self.spreads):
            raise ValueError("each direction has a spread")


def summary_of(embeddings: Array, *, directions: int = DIRECTIONS) -> EmbeddingSummary:
    """Principal components of a reference (Pearson 1901, doi:10.1080/14786440109462720).

    Parameters
    ----------
    embeddings
        Finite, shape `(rows, dimensions)`.
    directions
        At most this many are kept.

    Raises
    ------
    DataError
        If there are no rows, or a value is not finite.
    """
    from threadpoolctl import threadpool_limits

    rows = _checked(embeddings)
    if not rows.size:
        raise DataError(
            "a summary needs embeddings, the reference has none",
            next_step="choose a window of the data that has rows",
        )
    mean = rows.mean(axis=0)
    with threadpool_limits(limits=1, user_api="blas"):
        values, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    kept = vectors[:, ::-1].T[:directions]
    largest = np.argmax(np.abs(kept).round(DIGITS), axis=1)
    kept = kept * np.sign(kept[np.arange(len(kept)), largest])[:, None]
    variances = np.maximum(values[::-1], 0.0)
    return EmbeddingSummary(
        _rounded(mean),
        tuple(_rounded(each) for each in kept),
        _rounded(np.sqrt(variances[:directions])),
        _rounded(np.sqrt(variances[directions:].sum(keepdims=True)))[0],
    )


def project(embeddings: Array, summary: EmbeddingSummary) -> pl.DataFrame:
    """Embeddings along the directions of a reference.

    Parameters
    ----------
    embeddings
        Finite, shape `(rows, dimensions)`.
    summary
        Of the reference: also for the window's embeddings.

    Returns
    -------
    polars.DataFrame
        `direction_1` and so on, the way from the mean along each direction; `rest`, the distance
        from the plane of the directions; `length` of the embedding itself.

    Raises
    ------
    DataError
        If the dimensions are not those of the summary, or a value is not finite.
    """
    rows = _checked(embeddings)
    if rows.shape[1] != len(summary.mean):
        raise DataError(
            "the embeddings do not have the dimensions of the reference",
            where=f"{rows.shape[1]} and {len(summary.mean)}",
            next_step="embed both with the same model",
        )
    directions = np.array(summary.directions).reshape(-1, len(summary.mean))
    centred = rows - np.array(summary.mean)
    along = centred @ directions.T
    columns = {f"direction_{number}": part for number, part in enumerate(along.T, start=1)}
    columns["rest"] = np.linalg.norm(centred - along @ directions, axis=1)
    columns["length"] = np.linalg.norm(rows, axis=1)
    return pl.DataFrame(columns)


def _checked(embeddings: Array) -> Array:
    if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
        raise DataError(
            "embeddings are a table of finite numbers",
            where=f"shape {embeddings.shape}",
            next_step="give one row per text or image, and leave out what could not be embedded",
        )
    return embeddings.astype(np.float64)


def _rounded(values: Array) -> tuple[float, ...]:
    """Nine digits: what is beyond differs from machine to machine."""
    return tuple(float(f"{each:.{DIGITS}g}") + 0.0 for each in values)

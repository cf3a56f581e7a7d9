"""The primary metric on parts of the comparison set: where is the model worse than it looks?"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tasks.artifacts import SliceScore
from mlops_tasks.evaluation.bootstrap import intervals
from mlops_tasks.evaluation.metrics import Array

OTHER = "(all others)"
MAX_LEVELS = 20
SLICE_SAMPLES = 200
MISSING = "(missing)"


def slice_scores(
    frame: pl.DataFrame,
    columns: tuple[str, ...],
    target: Array,
    score: Array,
    *,
    metric: str,
    confidence: float,
    seed: int,
    cuts: Mapping[str, tuple[float, ...]] | None = None,
) -> tuple[SliceScore, ...]:
    """Score each level of each column; rare levels are pooled, numbers cut at their quartiles.

    Parameters
    ----------
    frame
        The comparison rows, `(rows, …)`, with the slice columns.
    columns
        Columns to slice by.
    target, score
        Shape `(rows,)`.
    metric, confidence, seed
        As in `bootstrap.intervals`.
    cuts
        Where numbers are cut, see `cuts_of`: other rows in the same slices. Those of `frame` if
        they are not given.
    """
    found = []
    for column, level, member in slices_of(frame, columns, cuts):
        part = intervals(
            (metric,),
            target[member],
            score[member],
            samples=SLICE_SAMPLES,
            confidence=confidence,
            seed=seed,
        )
        found.append(
            SliceScore(
                column, level, int(member.sum()), int(np.sum(target[member])), part.get(metric)
            )
        )
    return tuple(found)


def slices_of(
    frame: pl.DataFrame,
    columns: tuple[str, ...],
    cuts: Mapping[str, tuple[float, ...]] | None = None,
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Each slice, see `slice_scores`: column, level, and which rows are in it, shape `(rows,)`."""
    cuts = cuts_of(frame, columns) if cuts is None else cuts
    for column in columns:
        levels = _levels(frame[column], cuts.get(column, ()))
        for level in levels.unique().sort().to_list():
            yield column, level, (levels == level).to_numpy()


def cuts_of(frame: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    """The quartiles of the columns that hold numbers of more than `MAX_LEVELS` kinds."""
    found = {}
    for column in columns:
        values = frame[column]
        if values.dtype.is_numeric() and values.n_unique() > MAX_LEVELS:
            quantiles = (values.quantile(part) for part in (0.25, 0.5, 0.75))
            found[column] = tuple(sorted({edge for edge in quantiles if edge is not None}))
    return found


def _levels(values: pl.Series, cuts: tuple[float, ...]) -> pl.Series:
    """The level of each row, as text."""
    if cuts and values.dtype.is_numeric():
        return _between(values, cuts)
    text = values.cast(pl.String).fill_null(MISSING)
    text = text.alias("level")  # the column's own name may be any, also that of the counts
    common = text.value_counts(sort=True, name="rows").head(MAX_LEVELS)["level"]
    return text.to_frame().select(
        pl.when(pl.col("level").is_in(common.implode())).then("level").otherwise(pl.lit(OTHER))
    )["level"]


def _between(values: pl.Series, edges: tuple[float, ...]) -> pl.Series:
    names = [
        f"below {edges[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(edges)),
        f"{edges[-1]:g} and above",
    ]
    place = np.searchsorted(edges, values.fill_null(np.nan).to_numpy(), side="right")
    named = pl.Series(values.name, [names[min(index, len(edges))] for index in place])
    return named.zip_with(values.is_not_null(), pl.Series([MISSING]))

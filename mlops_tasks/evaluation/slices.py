"""The primary metric on parts of the comparison set: where is the model worse than it looks?"""

from itertools import pairwise

import numpy as np
import polars as pl

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
    """
    found = []
    for column in columns:
        levels = _levels(frame[column])
        for level in levels.unique().sort().to_list():
            member = (levels == level).to_numpy()
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
                    column,
                    level,
                    int(member.sum()),
                    int(np.sum(target[member])),
                    part.get(metric),
                )
            )
    return tuple(found)


def _levels(values: pl.Series) -> pl.Series:
    """The level of each row, as text."""
    if values.dtype.is_numeric() and values.n_unique() > MAX_LEVELS:
        return _quartiles(values)
    text = values.cast(pl.String).fill_null(MISSING)
    text = text.alias("level")  # the column's own name may be any, also that of the counts
    common = text.value_counts(sort=True, name="rows").head(MAX_LEVELS)["level"]
    return text.to_frame().select(
        pl.when(pl.col("level").is_in(common.implode())).then("level").otherwise(pl.lit(OTHER))
    )["level"]


def _quartiles(values: pl.Series) -> pl.Series:
    quantiles = (values.quantile(part) for part in (0.25, 0.5, 0.75))
    edges = sorted({edge for edge in quantiles if edge is not None})
    names = [
        f"below {edges[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(edges)),
        f"{edges[-1]:g} and above",
    ]
    place = np.searchsorted(edges, values.fill_null(np.nan).to_numpy(), side="right")
    named = pl.Series(values.name, [names[min(index, len(edges))] for index in place])
    return named.zip_with(values.is_not_null(), pl.Series([MISSING]))

"""The primary metric on parts of the comparison set: where is the model worse than it looks?"""

import numpy as np
import polars as pl

from mlops_tasks.artifacts import SliceScore
from mlops_tasks.evaluation.bootstrap import intervals
from mlops_tasks.evaluation.metrics import Array

OTHER = "(all others)"
MAX_LEVELS = 20
SLICE_SAMPLES = 200
NUMERIC_PARTS = 4


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
    if values.dtype.is_numeric() and values.n_unique() > MAX_LEVELS:
        edges = sorted({values.quantile(part / NUMERIC_PARTS) or 0.0 for part in (1, 2, 3)})
        values = values.cut(edges, left_closed=True)
    text = values.cast(pl.String).fill_null("(missing)")
    common = text.value_counts(sort=True, name="rows").head(MAX_LEVELS)[text.name]
    return text.to_frame().select(
        pl.when(pl.col(text.name).is_in(common.implode())).then(text.name).otherwise(pl.lit(OTHER))
    )[text.name]

"""Parts of the training rows, on which sets of parameters are judged.

Guarantees, each held by a test: no fold sees a row of its validation part; where rows are split by
time, none learns from a row that is as late as one it is judged on; where they are split by group,
no group is on both sides. The comparison set is not among the rows given: a choice among hundreds
of trials would wear it out.
"""

from collections.abc import Iterator

import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.data.splits import uniform_by_hash
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.backtest_windows import windows_of

PART = "part of the folds"
SINGLE = 5  # parts, where only one or a few of them are judged on


def folds(
    rows: pl.DataFrame, columns: Columns, kind: str, count: int, seed: int
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Rows to learn from and rows to be judged on, `count` times.

    Parameters
    ----------
    rows
        Training rows, with the target.
    columns
        Key, group and time among them.
    kind
        How the project splits: "time" gives ever longer pasts and the time that follows; "grouped"
        deals out groups, the others rows, in the order of a hash of group or key.
    count
        At least 1. Fewer than five folds that are not of time judge on a fifth of the rows each.
    seed
        Of the hash.

    Raises
    ------
    DataError
        If a part has a single class.
    """
    for number, (learn, judge) in enumerate(_pairs(rows, columns, kind, count, seed)):
        for part in (learn, judge):
            if part[columns.target].n_unique() < 2:
                raise DataError(
                    f"fold {number + 1} of {count} has a part of {part.height} rows with one class",
                    where=f"tuning.folds={count}",
                    next_step="set fewer folds, or widen `data.window`",
                )
        yield learn, judge


def _pairs(
    rows: pl.DataFrame, columns: Columns, kind: str, count: int, seed: int
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    if kind == "time":
        assert columns.time is not None  # DataSettings has checked it
        yield from windows_of(rows, columns.time, count, sliding=False)
        return
    names = [str(name) for name in ((columns.group,) if kind == "grouped" else columns.key)]
    keys = rows.select(names)
    each = keys.unique(maintain_order=True)
    draws = pl.Series(uniform_by_hash(each, seed))
    dealt = each.with_columns(((draws.rank("ordinal") - 1) % max(count, SINGLE)).alias(PART))
    part = keys.join(dealt, on=names, how="left", nulls_equal=True, maintain_order="left")[PART]
    for number in range(count):
        yield rows.filter(part != number), rows.filter(part == number)

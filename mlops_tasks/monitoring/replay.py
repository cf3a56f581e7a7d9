"""Rows that play live traffic: real ones, in the order of time or drawn again, drifted or not.

    months   the rows after those that the champion knows, a window for each month
    steady   rows that the champion knows, drawn again: nothing has changed
    drifted  rows after those that it knows, of one half of its most important feature only

Nothing is invented: each row is one that the project has, with its own label. Sending them is the
affair of `project.simulation`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Columns, Evaluation
from mlops_tasks.errors import DataError

Scenario = Literal["months", "steady", "drifted"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One window of traffic: its name, its rows with labels, and the end of what is known by then.

    `known_until` is the time in the data up to which a training may look afterwards; None where the
    rows have no times.
    """

    name: str
    rows: pl.DataFrame
    known_until: object


def scenes(
    scenario: Scenario,
    rows: pl.DataFrame,
    known: pl.DataFrame,
    columns: Columns,
    evaluation: Evaluation,
    *,
    windows: int,
    size: int,
    seed: int,
) -> Iterator[Scene]:
    """The windows of a scenario.

    Parameters
    ----------
    scenario
        See above.
    rows
        All rows that fulfil the contract.
    known
        The rows that the champion learned from and was judged on.
    columns, evaluation
        Which columns are what, and which features matter.
    windows, size
        How many windows, and at most how many rows in each.
    seed
        Of what is drawn.

    Raises
    ------
    DataError
        If there are no rows after those that are known, or none of `steady` to draw from.
    """
    draw = np.random.default_rng(seed)
    if scenario == "steady":
        for number in range(1, windows + 1):
            picked = draw.integers(0, known.height, size)
            yield Scene(f"steady {number}", known[picked.tolist()], _latest(known, columns))
        return
    later = _after(rows, known, columns)
    if scenario == "months":
        yield from _months(later, columns, windows, size, draw)
        return
    shifted = _one_half(later, columns, evaluation)
    for number in range(1, windows + 1):
        picked = draw.integers(0, shifted.height, size)
        yield Scene(f"drifted {number}", shifted[picked.tolist()], _latest(later, columns))


def _months(
    later: pl.DataFrame, columns: Columns, windows: int, size: int, draw: np.random.Generator
) -> Iterator[Scene]:
    assert columns.time is not None
    months = later.with_columns(pl.col(columns.time).dt.truncate("1mo").alias("_month"))
    for (month,), part in list(months.group_by("_month", maintain_order=True))[:windows]:
        kept = np.sort(draw.permutation(part.height)[:size])
        rows = part.drop("_month")[kept.tolist()]
        yield Scene(f"{month:%Y-%m}", rows, _latest(part, columns))


def _after(rows: pl.DataFrame, known: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    if columns.time is None:
        raise DataError(
            "rows without a time have no later months",
            where="data.time",
            next_step="choose --simulate steady",
        )
    later = rows.filter(pl.col(columns.time) > known[columns.time].max()).sort(columns.time)
    if later.is_empty():
        raise DataError(
            "the champion knows all rows: there are none that could play the future",
            where="data.window.end",
            next_step="train on an earlier window, or choose --simulate steady",
        )
    return later


def _one_half(rows: pl.DataFrame, columns: Columns, evaluation: Evaluation) -> pl.DataFrame:
    """The upper half of the most important number, or all but the most frequent level."""
    order = [each.feature for each in evaluation.importance] or list(columns.features)
    for name in order:
        if name in columns.numeric:
            middle = rows[name].median()
            kept = rows.filter(pl.col(name) > middle)
        else:
            frequent = rows[name].mode().sort()[0]
            kept = rows.filter(pl.col(name) != frequent)
        if 0 < kept.height < rows.height:
            return kept
    return rows


def _latest(rows: pl.DataFrame, columns: Columns) -> object:
    return None if columns.time is None else rows[columns.time].max()

"""Cutting rows by time: what was known at a moment, and what came after it.

Guarantees, each held by a test: no row that is learned from is as late as a row that is judged on;
every row after the first cut is judged on exactly once; rows of the same moment stay together.
"""

from typing import Any

import polars as pl

from mlops_tasks.artifacts import Code, Columns, Dataset, Split
from mlops_tasks.data.contracts import columns_of, load_contract
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.errors import DataError, SettingsError
from mlops_tasks.settings.schema import DataSettings


def cuts_of(times: pl.Series, count: int) -> list[Any]:
    """The moments that cut rows into `count + 1` stretches of about the same number of rows.

    Parameters
    ----------
    times
        Shape `(rows,)`, in any order.
    count
        At least 1.

    Raises
    ------
    DataError
        If there are not enough different moments.
    """
    ordered = times.sort()
    found = [ordered[len(ordered) * place // (count + 1)] for place in range(1, count + 1)]
    if len(set(found)) < count or not len(ordered) or found[0] == ordered[0]:
        raise DataError(
            f"the rows cannot be cut into {count + 1} stretches of time",
            where=f"column {times.name!r}, {len(ordered)} rows",
            next_step="ask for fewer windows, or widen `data.window`",
        )
    return found


def cut_windows(
    rows: Dataset, contract: Code, data: DataSettings, windows: int, sliding: bool, *, store: str
) -> tuple[Split, ...]:
    """For each of the latest stretches of time: the rows before it, and its own.

    Parameters
    ----------
    rows
        Rows that fulfil the contract.
    contract, data
        For the parts that the columns play.
    windows
        How many, at least 1; each has about `1 / (windows + 1)` of the rows.
    sliding
        Whether to learn only from the stretch just before; from all that came before otherwise.
    store
        Folder URI for the parts.

    Raises
    ------
    SettingsError
        If the data has no column of time.
    DataError
        If there are too few moments, or a part has a single class.
    """
    columns = columns_of(load_contract(contract), data)
    if columns.time is None:
        raise SettingsError(
            "a backtest needs to know when rows happened",
            where="data.time",
            next_step="name the column of time in conf/data/*.yaml",
        )
    frame = read_frame(rows)
    parts = []
    for before, inside in windows_of(frame, columns.time, windows, sliding):
        learn, judge = (_kept(part, columns, rows, store) for part in (before, inside))
        parts.append(Split(learn, judge, columns, "time"))
    return tuple(parts)


def windows_of(
    frame: pl.DataFrame, time: str, windows: int, sliding: bool
) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Rows before and rows inside each window, in the order of time."""
    times = frame[time]
    cuts = [None, *cuts_of(times, windows), None]
    pairs = []
    for before, start, end in zip(cuts, cuts[1:], cuts[2:], strict=False):
        known = times < start
        if sliding and before is not None:
            known &= times >= before
        inside = times >= start
        if end is not None:
            inside &= times < end
        pairs.append((frame.filter(known), frame.filter(inside)))
    return pairs


def _kept(part: pl.DataFrame, columns: Columns, rows: Dataset, store: str) -> Dataset:
    if part[columns.target].n_unique() < 2:
        raise DataError(
            f"a window's part of {part.height} rows has a single class",
            where=f"column {columns.target!r}",
            next_step="ask for fewer windows, or widen `data.window`",
        )
    return write_frame(part, store, regions=rows.regions, dvc_rev=rows.dvc_rev)

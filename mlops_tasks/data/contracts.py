"""Holding rows to the project's contract (a `dataframely.Schema`), with a bounded account.

Rows to learn from are held in memory, as they are when a model is fitted; `admission` is for rows
to be scored, of which there may be more.

Whether there are too many bad rows is decided by `max_bad_fraction`; bad rows below that are put
aside, counted, and never trained on. Nothing here changes a value.

Guarantee, held by a test: only rows that the window may hold are held to the contract and counted.
Others neither dilute the share of bad rows nor add to it. A row without a time, or with one that is
still to come, counts: nobody can say that it is outside.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from mlops_tasks.artifacts import Code, Columns, Dataset
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.data.violations import (
    LONGEST_NAMED,
    MAX_EXAMPLES,
    Account,
    check_columns,
    divide,
    in_terms_of,
    numbered,
    too_many,
)
from mlops_tasks.errors import ContractBroken, ProjectError
from mlops_tasks.references import load
from mlops_tasks.settings.schema import DataSettings

if TYPE_CHECKING:
    import dataframely as dy


def validate(
    raw: Dataset,
    contract: Code,
    data: DataSettings,
    *,
    store: str,
    now: datetime | None = None,
) -> Dataset:
    """Keep the rows of the window that fulfil the contract.

    Parameters
    ----------
    raw
        The snapshot.
    contract
        The schema, for example `package.schema:Flights`.
    data
        Window, target, time column and tolerated fraction of bad rows.
    store
        Folder URI for the result.
    now
        Rows later than this are from the future; the clock's time by default.

    Raises
    ------
    ContractBroken
        If a column is missing or has the wrong type, if more rows of the window are bad than is
        tolerated, or if what remains cannot be learned from (no rows, a row without time or
        target, one class, classes that are not 0 and 1).
    """
    schema = load_contract(contract)
    columns_of(schema, data)
    where = f"{data.path} against {contract.reference}"
    now = now or datetime.now(UTC).replace(tzinfo=None)
    frame = read_frame(raw)
    check_columns(schema, frame.schema, frame.height, where)
    rows = perhaps_within(numbered(frame.select(list(schema.columns()))), data, now)
    good, bad = divide(schema, rows, data.time, now)
    if bad.height > data.max_bad_fraction * rows.height:
        raise too_many(Account.of(rows.height, bad), data.max_bad_fraction, where)
    kept = within(good.sort(_order(schema, data)), data)
    _learnable(kept, data, where)
    done = write_frame(kept, store, regions=raw.regions, dvc_rev=raw.dvc_rev)
    return replace(done, quarantined_rows=bad.height)


def load_contract(contract: Code) -> type["dy.Schema"]:
    """Import a contract by reference.

    Raises
    ------
    ProjectError
        If there is no such schema.
    """
    import dataframely as dy

    schema = load(contract.reference)
    if not (isinstance(schema, type) and issubclass(schema, dy.Schema)):
        raise ProjectError(
            "the data contract is not a dataframely.Schema",
            where=contract.reference,
            next_step="define `class Rows(dy.Schema): ...` there",
        )
    return schema


def columns_of(schema: type["dy.Schema"], data: DataSettings) -> Columns:
    """The part each column of a contract plays.

    Raises
    ------
    ProjectError
        If the settings name a column that the contract does not have, the time column holds no
        dates, or there is no primary key.
    """
    known = schema.columns()
    named = [data.target, data.time, data.group, *data.exclude]
    unknown = [name for name in named if name and name not in known]
    if unknown:
        raise ProjectError(
            f"the contract has no column {unknown[0]!r}",
            where="data settings (target, time, group, exclude)",
            next_step=f"choose from {', '.join(known)}",
        )
    if data.time and not isinstance(known[data.time].dtype, pl.Date | pl.Datetime):
        raise ProjectError(
            f"the time column {data.time!r} is {known[data.time].dtype}",
            where=schema.__name__,
            next_step="make it `dy.Datetime` or `dy.Date`",
        )
    key = tuple(schema.primary_key())
    if not key:
        raise ProjectError(
            "the contract has no primary key",
            where=schema.__name__,
            next_step="set `primary_key=True` on the column that names a row",
        )
    apart = {*key, data.target, data.time, data.group, *data.exclude}
    features = {name: column.dtype for name, column in known.items() if name not in apart}
    numeric = tuple(n for n, kind in features.items() if kind.is_numeric() or kind == pl.Boolean)
    return Columns(
        key=key,
        target=data.target,
        numeric=numeric,
        categorical=tuple(name for name in features if name not in numeric),
        time=data.time,
        group=data.group,
    )


def within(frame: pl.DataFrame, data: DataSettings) -> pl.DataFrame:
    """The rows inside the window of the settings."""
    inside = _inside(frame, data)
    return frame.filter(inside) if inside else frame


def perhaps_within(frame: pl.DataFrame, data: DataSettings, now: datetime) -> pl.DataFrame:
    """The rows inside the window, and those whose time is missing or cannot be."""
    inside = _inside(frame, data)
    if data.time is None or not inside:
        return frame
    future = pl.col(data.time) > in_terms_of(frame[data.time], now)
    return frame.filter((pl.all_horizontal(inside) | future).fill_null(True))


def _inside(frame: pl.DataFrame, data: DataSettings) -> list[pl.Expr]:
    """What must hold for a row of the window; nothing where there is no limit."""
    conditions: list[pl.Expr] = []
    if data.time is not None:
        time, times = pl.col(data.time), frame[data.time]
        if data.window.start is not None:
            conditions.append(time >= in_terms_of(times, data.window.start))
        if data.window.end is not None:
            conditions.append(time < in_terms_of(times, data.window.end))
    return conditions


def _order(schema: type["dy.Schema"], data: DataSettings) -> list[str]:
    return [*([data.time] if data.time else []), *schema.primary_key()]


def _learnable(frame: pl.DataFrame, data: DataSettings, where: str) -> None:
    def refuse(what: str, next_step: str) -> ContractBroken:
        shown = what[:LONGEST_NAMED]
        return ContractBroken(shown, where=where, next_step=next_step, rows=frame.height)

    refuse_empty(frame.height, where)
    name, target = data.target, frame[data.target].drop_nulls()
    if target.is_empty():
        raise refuse(f"target {name!r} has no values", "check how the data was made")
    if target.n_unique() < 2:
        raise refuse(
            f"target {name!r} has a single class: {target[0]!r}",
            "widen `data.window` or check how the data was made",
        )
    if target.dtype != pl.Boolean and not set(target.unique()) <= {0, 1}:
        classes = target.unique().sort().head(MAX_EXAMPLES).to_list()
        raise refuse(
            f"target {name!r} has other classes than 0 and 1: {classes}",
            "make them 0 and 1 where the data is made",
        )
    for column in (data.time, name):
        if column is not None and (missing := frame[column].null_count()):
            raise refuse(
                f"{column!r} is missing in {missing} of {frame.height} rows",
                f"say `nullable=False` for {column!r} in schema.py, so that `data.max_bad_fraction`"
                " can put such rows aside; or narrow `data.window`",
            )


def refuse_empty(rows: int, where: str) -> None:
    """Raise `ContractBroken` where no rows are left."""
    if rows == 0:
        raise ContractBroken(
            "no rows are left in the window", where=where, next_step="widen `data.window`"
        )

"""Holding rows to the project's contract (a `dataframely.Schema`), with a bounded account.

Whether there are too many bad rows is decided by `max_bad_fraction`; bad rows below that are put
aside, counted, and never trained on. Nothing here changes a value.

Guarantee, held by a test: only rows that the window may hold are held to the contract and counted.
Others neither dilute the share of bad rows nor add to it. A row without a time, or with one that is
still to come, counts: nobody can say that it is outside.
"""

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from mlops_tasks.artifacts import Code, Columns, Dataset
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.data.violations import (
    LONGEST_NAMED,
    MAX_EXAMPLES,
    check_columns,
    divide,
    in_terms_of,
    numbered,
    schema_of,
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
    kept, bad_rows = _admit(raw, schema, data, where, now)
    _learnable(kept, data, where)
    return _keep(kept, raw, store, bad_rows)


def admit(
    raw: Dataset, contract: Code, data: DataSettings, *, store: str, now: datetime | None = None
) -> Dataset:
    """Keep the rows of the window that can be scored: as `validate`, but labels may be missing.

    Raises
    ------
    ContractBroken
        If a column other than the target is missing or has the wrong type, if more rows of the
        window are bad than is tolerated, or if no rows are left.
    """
    schema = load_contract(contract)
    columns_of(schema, data)
    schema = _unlabelled(schema, data.target, data.target in raw.columns)
    where = f"{data.path} against {contract.reference}"
    kept, bad_rows = _admit(raw, schema, data, where, now)
    _not_empty(kept, where)
    return _keep(kept, raw, store, bad_rows)


def _admit(
    raw: Dataset,
    schema: type["dy.Schema"],
    data: DataSettings,
    where: str,
    now: datetime | None,
) -> tuple[pl.DataFrame, int]:
    """The good rows of the window in order, and the number of bad ones."""
    frame = read_frame(raw)
    check_columns(schema, frame, where)
    now = now or datetime.now(UTC).replace(tzinfo=None)
    rows = numbered(frame.select(list(schema.columns()))).filter(perhaps_within(frame, data, now))
    good, bad = divide(schema, rows, data.time, now)
    if bad.height > data.max_bad_fraction * rows.height:
        raise too_many(bad, rows.height, data.max_bad_fraction, where)
    return within(good.sort(_order(schema, data)), data), bad.height


def _keep(frame: pl.DataFrame, raw: Dataset, store: str, bad_rows: int) -> Dataset:
    done = write_frame(frame, store, regions=raw.regions, dvc_rev=raw.dvc_rev)
    return replace(done, quarantined_rows=bad_rows)


def _unlabelled(schema: type["dy.Schema"], target: str, some: bool) -> type["dy.Schema"]:
    """A contract whose target may be null, or where there is none: the columns without it.

    Without the target, rules over several columns do not apply.
    """
    if some:
        label = copy.copy(schema.columns()[target])
        label.nullable = True
        return schema_of("SomeLabels", {target: label}, schema)
    kept = {name: column for name, column in schema.columns().items() if name != target}
    return schema_of("Unlabelled", kept)


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
    return frame.filter(_inside(frame, data))


def perhaps_within(frame: pl.DataFrame, data: DataSettings, now: datetime) -> pl.Expr:
    """The rows inside the window, and those whose time is missing or cannot be."""
    inside = _inside(frame, data).fill_null(True)
    if data.time is None:
        return inside
    return inside | (pl.col(data.time) > in_terms_of(frame[data.time], now)).fill_null(True)


def _inside(frame: pl.DataFrame, data: DataSettings) -> pl.Expr:
    inside = pl.lit(True)
    if data.time is not None:
        time, times = pl.col(data.time), frame[data.time]
        if data.window.start is not None:
            inside &= time >= in_terms_of(times, data.window.start)
        if data.window.end is not None:
            inside &= time < in_terms_of(times, data.window.end)
    return inside


def _order(schema: type["dy.Schema"], data: DataSettings) -> list[str]:
    return [*([data.time] if data.time else []), *schema.primary_key()]


def _learnable(frame: pl.DataFrame, data: DataSettings, where: str) -> None:
    def refuse(what: str, next_step: str) -> ContractBroken:
        shown = what[:LONGEST_NAMED]
        return ContractBroken(shown, where=where, next_step=next_step, rows=frame.height)

    _not_empty(frame, where)
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


def _not_empty(frame: pl.DataFrame, where: str) -> None:
    if frame.is_empty():
        raise ContractBroken(
            "no rows are left in the window", where=where, next_step="widen `data.window`"
        )

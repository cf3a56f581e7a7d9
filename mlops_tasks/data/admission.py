"""Rows to be scored, held to the contract a part at a time: they need not fit into memory.

Guarantees, each held by a test: what is admitted, put aside or refused is what one look at all rows
would say, with the same account of it; rows stay in the order of the file; memory does not grow
with their number but for what `duplicates` says. A contract with a rule that looks at other rows
(a mean, `shift`, `over`), or that cannot be looked into (a function in Python), needs them all.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlops_tasks.artifacts import Code, Dataset
from mlops_tasks.data.contracts import (
    columns_of,
    load_contract,
    perhaps_within,
    refuse_empty,
    within,
)
from mlops_tasks.data.duplicates import rows_that_share_a_key
from mlops_tasks.data.row_parts import PART_ROWS, row_parts
from mlops_tasks.data.violations import (
    PRIMARY_KEY,
    ROW,
    Account,
    check_columns,
    divide,
    numbered,
    schema_of,
    too_many,
)
from mlops_tasks.settings.schema import DataSettings
from mlops_tasks.storage import fetch, put

if TYPE_CHECKING:
    import dataframely as dy


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
    found: list[Account] = []
    with fetch(raw.uri, raw.digest) as path:
        types = pl.read_parquet_schema(path)
        check_columns(schema, types, raw.rows, where)
        rows = _Rows(path, types, raw.rows, schema, data, now or _now())
        uri, digest, _ = put(store, lambda file: found.append(_held(rows, file, where)), ".parquet")
    (account,) = found
    names = tuple(schema.columns())
    return Dataset(uri, digest, account.kept, names, raw.regions, raw.dvc_rev, account.bad)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that the window may hold, in parts."""

    path: Path
    types: Mapping[str, pl.DataType]
    count: int
    schema: type["dy.Schema"]
    data: DataSettings
    now: datetime

    def read(self, names: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        """Some columns, numbered."""
        size = PART_ROWS if looks_at_one_row(self.schema) else max(self.count, 1)
        time = self.data.time
        read = dict.fromkeys((*names, time) if time else names)
        parts = row_parts(self.path, {name: self.types[name] for name in read}, size)
        for number, part in enumerate(parts):
            rows = perhaps_within(numbered(part, number * size), self.data, self.now)
            yield rows.select(ROW, *names)


def looks_at_one_row(schema: type["dy.Schema"]) -> bool:
    """Whether each rule of a contract but that of the key can be asked of a row by itself.

    In doubt the answer is no.
    """
    rules = schema._validation_rules(with_cast=False)
    return all(_of_one_row(rule.expr) for name, rule in rules.items() if name != PRIMARY_KEY)


def _of_one_row(expression: pl.Expr) -> bool:
    """Polars answers for the outermost operation only; those inside are asked too."""
    try:
        separable = expression.meta.is_row_separable()
        return separable and all(map(_of_one_row, expression.meta.pop()))
    except pl.exceptions.PolarsError:  # what it cannot know before it has seen the rows
        return False


def _held(rows: _Rows, file: Path, where: str) -> Account:
    """Write the good rows of the window to a file; the account of all."""
    from pyarrow.parquet import ParquetWriter

    names, data = tuple(rows.schema.columns()), rows.data
    key = tuple(rows.schema.primary_key())
    shared = rows_that_share_a_key(lambda: rows.read(key), key, ROW, rows.count)
    account = Account()
    writer: ParquetWriter | None = None
    try:
        for part in rows.read(names):
            good, bad = divide(rows.schema, part, data.time, rows.now, shared)
            kept = within(good, data)
            account += Account.of(part.height, bad, kept.height)
            table = kept.to_arrow(compat_level=pl.CompatLevel.oldest())
            if writer is None:
                writer = ParquetWriter(file, table.schema, compression="zstd")
            if kept.height:
                writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if account.bad > data.max_bad_fraction * account.rows:
        raise too_many(account, data.max_bad_fraction, where)
    refuse_empty(account.kept, where)
    return account


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


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)

"""What is wrong with rows: which break the contract, in which rules, told within bounds.

How many bad rows are too many is decided in `contracts`.
"""

import types
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from mlops_tasks.errors import ContractBroken

if TYPE_CHECKING:
    import dataframely as dy

MAX_EXAMPLES = 10
# With a space, so that no column of a contract has the name.
ROW, BROKEN = "row number", "broken rules"
PRIMARY_KEY = "primary_key"  # dataframely's name for that rule
FROM_THE_FUTURE = "from the future"
LONGEST_NAMED = 200


@dataclass(frozen=True, slots=True)
class Account:
    """How many rows were held to the contract, and what is wrong with the bad ones.

    `rules` counts them by broken rule, `examples` shows the first; `kept` is how many are used.
    """

    rows: int = 0
    bad: int = 0
    kept: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    examples: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: int, bad: pl.DataFrame, kept: int = 0) -> "Account":
        """That of so many rows, of which `divide` found some bad."""
        counts = bad[BROKEN].explode().value_counts(sort=True)
        examples = [_example(row) for row in bad.head(MAX_EXAMPLES).iter_rows(named=True)]
        return cls(rows, bad.height, kept, Counter(dict(counts.rows())), tuple(examples))

    def __add__(self, later: "Account") -> "Account":
        """That of these rows and of those that come after them."""
        return Account(
            self.rows + later.rows,
            self.bad + later.bad,
            self.kept + later.kept,
            self.rules + later.rules,
            (*self.examples, *later.examples)[:MAX_EXAMPLES],
        )


def check_columns(
    schema: type["dy.Schema"], found: Mapping[str, pl.DataType], rows: int, where: str
) -> None:
    """Raise `ContractBroken` for every missing column and wrong type, all at once."""
    problems = []
    for name, column in schema.columns().items():
        if name not in found:
            problems.append(f"column {name!r} is missing")
        elif not column.validate_dtype(found[name]):
            problems.append(f"column {name!r} is {found[name]}, should be {column.dtype}")
    if problems:
        named = [problem[:LONGEST_NAMED] for problem in problems[:MAX_EXAMPLES]]
        if len(problems) > MAX_EXAMPLES:
            named.append(f"… and {len(problems) - MAX_EXAMPLES} more")
        raise ContractBroken(
            f"the columns break the contract: {'; '.join(named)}",
            where=where,
            next_step="correct the data, or change the contract in schema.py on purpose",
            rows=rows,
        )


def numbered(frame: pl.DataFrame, first: int = 0) -> pl.DataFrame:
    """The same rows, each with its number in `ROW`, so that a bad one can be named."""
    return frame.with_row_index(ROW, first)


def divide(
    schema: type["dy.Schema"],
    rows: pl.DataFrame,
    time: str | None,
    now: datetime,
    shared: pl.Series | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that fulfil the contract, and the others with columns `ROW` and `BROKEN` (rules).

    The rows are `numbered`. Duplicate keys break the contract for each of the rows that share the
    key; `shared` has the numbers of those that share it with a row which is not among these.
    """
    names = list(schema.columns())
    _, failure = _numbered(schema).filter(rows)
    details = failure.details()
    rules = [name for name in details.columns if name not in (*names, ROW)]
    marks = [pl.when(pl.col(rule) == "invalid").then(pl.lit(rule)) for rule in rules]
    broken = pl.concat_list(marks).list.drop_nulls()
    found = [details.select(ROW, *names, broken.alias(BROKEN))]
    if time is not None:
        future = rows.filter(pl.col(time) > in_terms_of(rows[time], now))
        found.append(_breaking(future, names, f"{time}|{FROM_THE_FUTURE}"))
    if shared is not None:
        again = rows.join(shared.to_frame(ROW), on=ROW, how="semi")
        found.append(_breaking(again, names, PRIMARY_KEY))
    each = pl.col(BROKEN).list.explode(keep_nulls=False, empty_as_null=False)
    bad = pl.concat(found).group_by(ROW, *names).agg(each.unique(maintain_order=True)).sort(ROW)
    return rows.join(bad, on=ROW, how="anti").select(names), bad


def _breaking(rows: pl.DataFrame, names: list[str], rule: str) -> pl.DataFrame:
    return rows.select(ROW, *names, pl.lit([rule]).alias(BROKEN))


def too_many(account: Account, tolerated: float, where: str) -> ContractBroken:
    """The error that counts the bad rows by rule and shows the first of them."""
    counts = account.rules.most_common(MAX_EXAMPLES)
    rules = ", ".join(f"{rule} ({count})" for rule, count in counts)
    examples = list(account.examples)
    if account.bad > MAX_EXAMPLES:
        examples.append(f"… and {account.bad - MAX_EXAMPLES} more")
    return ContractBroken(
        f"{account.bad} of {account.rows} rows ({account.bad / account.rows:.2%}) break the "
        f"contract, {tolerated:.2%} are tolerated: {rules}",
        where=where,
        next_step="correct the rows, or tolerate them with `data.max_bad_fraction=…`",
        rows=account.rows,
        bad_rows=account.bad,
        examples=examples,
    )


def in_terms_of(times: pl.Series, moment: datetime) -> datetime:
    """A moment with the time zone of a column, or without; what has none is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    zone = getattr(times.dtype, "time_zone", None)
    return aware.astimezone(ZoneInfo(zone)) if zone else aware.astimezone(UTC).replace(tzinfo=None)


def _numbered(schema: type["dy.Schema"]) -> type["dy.Schema"]:
    """The same contract for rows that are numbered."""
    import dataframely as dy

    return schema_of("Numbered", {ROW: dy.UInt32(nullable=False)}, schema)


def schema_of(
    name: str, columns: dict[str, "dy.Column"], base: type["dy.Schema"] | None = None
) -> type["dy.Schema"]:
    """A contract made of columns, on top of another one where given."""
    import dataframely as dy

    return types.new_class(name, (base or dy.Schema,), exec_body=lambda body: body.update(columns))


def _example(row: dict[str, object]) -> str:
    broken = row[BROKEN]
    assert isinstance(broken, list)
    said = []
    for rule in broken:
        column, _, check = str(rule).partition("|")
        said.append(f"{column} = {row[column]!r} breaks {check}" if check else f"breaks {rule}")
    return f"row {row[ROW]}: {'; '.join(said)}"[:LONGEST_NAMED]

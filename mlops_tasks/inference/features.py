"""The columns that a model sees, with the types that its training rows had.

What such a type looks like in a request is the affair of `serving.online.schema`.

Guarantee, held by a test: the bounds of a whole number are those that its column can hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from mlops_tasks.artifacts import Columns
from mlops_tasks.errors import DataError

# Trees of scikit-learn compute in 32 bits and refuse what is beyond.
LARGEST_FLOAT = 3.4028234663852886e38
LARGEST_INTEGER = 2**63 - 1  # of a JSON number that every client can send

Kind = Literal["float", "integer", "boolean", "text"]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column that the model sees. `choices` are all the values that its type can hold."""

    name: str
    kind: Kind
    dtype: pl.DataType
    nullable: bool
    choices: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest whole number that the column can hold.

        Raises
        ------
        ValueError
            If it does not hold whole numbers.
        """
        if self.kind != "integer":
            raise ValueError(f"column {self.name!r} holds no whole numbers")
        bits = min(int(str(self.dtype).removeprefix("U").removeprefix("Int")), 64)
        if self.dtype.is_unsigned_integer():
            return 0, min(2**bits - 1, LARGEST_INTEGER)
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def features_of(frames: Sequence[pl.DataFrame], columns: Columns) -> tuple[Feature, ...]:
    """The columns that a model sees, as the rows that it was made of have them.

    Parameters
    ----------
    frames
        Rows with `columns.features`; types are those of the first, and a value may be missing
        where it is in any of them.
    columns
        What the columns are.

    Raises
    ------
    DataError
        If a column's type cannot be sent as JSON.
    """
    return tuple(_feature([frame[name] for frame in frames]) for name in columns.features)


def _feature(parts: Sequence[pl.Series]) -> Feature:
    name, dtype = parts[0].name, parts[0].dtype
    kind = _kind(dtype)
    if kind is None:
        raise DataError(
            f"column {name!r} is {dtype}, which cannot be asked for over HTTP",
            where="schema.py",
            next_step="give the model a number, a boolean or text in its place",
        )
    choices = tuple(dtype.categories) if isinstance(dtype, pl.Enum) else ()
    return Feature(name, kind, dtype, any(map(_has_missing, parts)), choices)


def _has_missing(column: pl.Series) -> bool:
    return column.has_nulls() or (column.dtype.is_float() and bool(column.is_nan().any()))


def _kind(dtype: pl.DataType) -> Kind | None:
    if dtype.is_float():
        return "float"
    if dtype.is_integer():
        return "integer"
    if dtype == pl.Boolean:
        return "boolean"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    return None

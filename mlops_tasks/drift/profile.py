"""The profile of a frame: what its columns looked like, and how to count another frame alike.

A `Profile` is made once, of the rows a model was trained on, and stored with the model. A window of
live rows is counted in the profile's bins (`count`); windows counted on different machines or days
are put together (`merge`). Profiles of different columns, also of different rows, are put side by
side (`beside`). Two profiles are not merged: bins are quantiles of all rows, and no two sets of
them give those back. Whether a window differs from the reference is the affair of `verdict`.

Guarantees, each held by a test: merging the counts of two windows equals counting their
concatenation; the profile counted on its own frame finds its own counts; JSON gives back an equal
profile; counts made in other bins are refused.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from mlops_tasks.drift.bins import Bins, Tally
from mlops_tasks.drift.counting import bins_and_tally, kind_of, tally
from mlops_tasks.encoding import digest
from mlops_tasks.errors import DataError


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a frame, counted column by column; `bins` is the digest of the bins."""

    bins: str
    rows: int
    tallies: tuple[Tally, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """The bins that a reference fixes, and its own counts in them.

    A column of a reference may have fewer rows than others: scores are of the comparison set only.
    """

    bins: tuple[Bins, ...]
    reference: Counts

    def __post_init__(self) -> None:
        if not _fits(self.reference, self):
            raise ValueError("the counts are not of these bins")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column is named twice")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are watched."""
        return tuple(each.name for each in self.bins)


def profile_of(
    frame: pl.DataFrame, columns: Sequence[str], *, categorical: Collection[str] = ()
) -> Profile:
    """Fix bins by a reference frame and count it.

    Parameters
    ----------
    frame
        The reference rows, `(rows, …)`.
    columns
        The columns to watch: numbers, text, booleans, dates and times.
    categorical
        Those of `columns` that are names although they are stored as numbers.

    Raises
    ------
    DataError
        If there are no rows, or a column is missing, named twice or of another type.
    """
    if not frame.height:
        raise DataError(
            "a profile needs rows, the reference has none",
            next_step="choose a window of the data that has rows",
        )
    _require(frame, columns)
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise DataError(
            "a column is named twice", where=", ".join(twice), next_step="name each column once"
        )
    found = []
    for name in columns:
        kind = kind_of(frame[name].dtype, categorical=name in categorical)
        if kind is None:
            raise _wrong_type(name, frame[name].dtype)
        found.append(bins_and_tally(frame[name], kind))
    bins = tuple(each for each, _ in found)
    reference = Counts(digest(bins), frame.height, tuple(each for _, each in found))
    return Profile(bins, reference)


def beside(first: Profile, second: Profile) -> Profile:
    """One profile of the columns of two, which may come from different rows.

    Raises
    ------
    DataError
        If both have a column of the same name.
    """
    twice = [name for name in first.columns if name in second.columns]
    if twice:
        raise DataError(
            "two profiles have a column of the same name",
            where=", ".join(twice),
            next_step="rename the column in one of the frames",
        )
    bins = first.bins + second.bins
    old, new = first.reference, second.reference
    return Profile(bins, Counts(digest(bins), max(old.rows, new.rows), old.tallies + new.tallies))


def count(frame: pl.DataFrame, profile: Profile) -> Counts:
    """Count a window of rows in the bins of a profile; an empty window counts nothing.

    Raises
    ------
    DataError
        If a column of the profile is missing or has another type.
    """
    _require(frame, profile.columns)
    for bins in profile.bins:
        dtype = frame[bins.name].dtype
        if kind_of(dtype, categorical=bins.kind == "category") != bins.kind and dtype != pl.Null:
            raise _wrong_type(bins.name, dtype, f"the profile counts it as {bins.kind}")
    tallies = tuple(tally(frame[bins.name], bins) for bins in profile.bins)
    return Counts(profile.reference.bins, frame.height, tallies)


def merge(first: Counts, second: Counts) -> Counts:
    """The counts of two windows together.

    Raises
    ------
    DataError
        If they were counted in different bins.
    """
    if first.bins != second.bins:
        raise DataError(
            "the two windows were counted against different profiles",
            where=f"{first.bins[:12]} and {second.bins[:12]}",
            next_step="count both against the same profile",
        )
    tallies = tuple(a + b for a, b in zip(first.tallies, second.tallies, strict=True))
    return Counts(first.bins, first.rows + second.rows, tallies)


def require_counted(counts: Counts, profile: Profile) -> None:
    """Refuse counts that were not made of one window in the bins of this profile.

    Raises
    ------
    DataError
        If they were not.
    """
    if not _fits(counts, profile) or any(each.rows != counts.rows for each in counts.tallies):
        raise DataError(
            "the window was counted against another profile",
            where=f"counts {counts.bins[:12]}, profile {profile.reference.bins[:12]}",
            next_step="count the window again with `count(frame, profile)`",
        )


def _fits(counts: Counts, profile: Profile) -> bool:
    sizes = [len(each.counts) for each in counts.tallies]
    return (
        counts.bins == digest(profile.bins)
        and sizes == [each.size for each in profile.bins]
        and all(each.rows <= counts.rows for each in counts.tallies)
    )


def _require(frame: pl.DataFrame, columns: Sequence[str]) -> None:
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise DataError(
            "the frame lacks columns that are watched",
            where=", ".join(absent),
            next_step="log these columns, or make a profile without them",
        )


def _wrong_type(name: str, dtype: pl.DataType, detail: str = "") -> DataError:
    return DataError(
        f"a column of type {dtype} cannot be counted",
        where=f"{name}: {detail}" if detail else name,
        next_step="leave it out of the watched columns, or cast it to a number, text or a time",
    )

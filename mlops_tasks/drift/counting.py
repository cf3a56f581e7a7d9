"""How bins are fixed by a reference column, and rows counted in them.

Numbers get at most 32 bins of equal frequency between the reference's smallest and largest value,
and an open bin on either side. A value that fills a bin on its own, as zero often does, and every
value of a column with few of them, gets a bin of its own, so that a constant that moves is seen.
Categories get one bin per level and one for all others. A level longer than 64 characters goes by
its SHA-256.

The reference's bins keep its smallest and largest value, up to 33 of its quantiles and the names of
its levels, and no rows. Numbers are compared as 64-bit floats; beyond ±1e150, infinite ones
included, they count as ±1e150. Missing is null and NaN.
"""

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_tasks.drift.bins import MAX_OTHERS, Array, Bins, Kind, Tally

NUMBER_BINS = 32
FEW_VALUES = 16
MAX_LEVELS = 256
MAX_NAME = 64
LARGEST = 1e150
LARGEST_EXACT = 2**53
# Good (1953), doi:10.1093/biomet/40.3-4.237: the share of rows whose level occurs once estimates
# the share of rows to come whose level is new. Above this, a sample has not seen the levels yet,
# and only levels that are frequent enough for their share to be known are named.
MAX_SINGLE_SHARE = 0.005
KNOWN_LEVEL_ROWS = 25


def kind_of(dtype: pl.DataType, *, categorical: bool = False) -> Kind | None:
    """How a column of this type is counted; None where it cannot be."""
    if dtype == pl.Boolean and not categorical:
        return "boolean"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "category"
    if dtype.is_numeric() or dtype in (pl.Null, pl.Boolean):
        return "category" if categorical else "number"
    if isinstance(dtype, pl.Date | pl.Datetime):
        return "time"
    return "number" if isinstance(dtype, pl.Duration | pl.Time) else None


def bins_and_tally(series: pl.Series, kind: Kind) -> tuple[Bins, Tally]:
    """Fix bins by a reference column, and count it in them."""
    if kind in ("number", "time"):
        bins = Bins(series.name, kind, edges=_edges(np.sort(_numbers(series).drop_nulls())))
        return bins, tally(series, bins)
    rows = _level_rows(series)
    levels = ("false", "true") if kind == "boolean" else _levels(rows)
    bins = Bins(series.name, kind, levels=levels)
    # Levels without a bin are rare: their names would be rows of the reference.
    counted = _tally_levels(rows, series.len(), bins)
    return bins, Tally(counted.missing, counted.counts)


def tally(series: pl.Series, bins: Bins) -> Tally:
    """Count another column in given bins."""
    if not bins.ordered:
        return _tally_levels(_level_rows(series), series.len(), bins)
    values = _numbers(series).drop_nulls().to_numpy()
    place = np.searchsorted(np.array(bins.edges), values, side="left")
    counts = np.bincount(place, minlength=bins.size)
    low, high = (float(values.min()), float(values.max())) if len(values) else (None, None)
    return Tally(series.len() - len(values), tuple(counts.tolist()), low, high)


def positions(series: pl.Series, bins: Bins) -> NDArray[np.int64]:
    """The bin of each row, in the order of the rows; -1 where the value is missing."""
    if bins.ordered:
        values = _numbers(series)
        found = np.searchsorted(np.array(bins.edges), values.fill_null(0.0).to_numpy(), side="left")
        return np.where(values.is_null().to_numpy(), -1, found)
    names = _names(series)
    known, rest = list(bins.levels), len(bins.levels)
    place = names.replace_strict(known, range(rest), default=rest, return_dtype=pl.Int64)
    return np.asarray(place.zip_with(names.is_not_null(), pl.Series([-1])), np.int64)


def _numbers(series: pl.Series) -> pl.Series:
    """Floats within ±1e150 without NaN; a time becomes microseconds, whatever its unit is."""
    if isinstance(series.dtype, pl.Date | pl.Datetime):
        series = series.cast(pl.Datetime("us")).to_physical()
    elif isinstance(series.dtype, pl.Duration):
        series = series.cast(pl.Duration("us")).to_physical()
    elif isinstance(series.dtype, pl.Time):
        series = series.to_physical()
    found = series.cast(pl.Float64).fill_nan(None)
    return found.clip(-LARGEST, LARGEST) if (found.abs() > LARGEST).any() else found


def _names(series: pl.Series) -> pl.Series:
    """Text; whole numbers alike whether they are stored as integers or as floats; long ones hashed.

    What is stored as a float where something is missing, and as an integer elsewhere, is common.
    """
    if series.dtype.is_float():
        whole = series.cast(pl.Int64, strict=False)
        same = (whole == series) & (whole.abs() <= LARGEST_EXACT)
        names = whole.cast(pl.String).zip_with(
            same.fill_null(False), series.fill_nan(None).cast(pl.String)
        )
    else:
        names = series.cast(pl.String)
    long = names.str.len_chars() > MAX_NAME
    if not long.any():
        return names
    hashed = [f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in names.filter(long)]
    return names.scatter(long.arg_true(), hashed)


def _edges(ordered: Array) -> tuple[float, ...]:
    if not len(ordered):
        return ()
    few = _few_values(ordered)
    if few is None:
        ranks = np.ceil(np.arange(NUMBER_BINS + 1) / NUMBER_BINS * len(ordered)) - 1
        cuts = ordered[np.maximum(ranks, 0).astype(np.int64)]
        alone = np.append(cuts[0], cuts[1:][cuts[1:] == cuts[:-1]])
    else:
        cuts = alone = few
    edges = np.unique(np.concatenate([cuts, np.nextafter(alone, -np.inf)]))
    return tuple(float(edge) for edge in edges + 0.0)


def _few_values(ordered: Array) -> Array | None:
    """The distinct values, if there are few."""
    found: list[float] = []
    start = 0
    while start < len(ordered):
        if len(found) == FEW_VALUES:
            return None
        found.append(float(ordered[start]))
        start = int(np.searchsorted(ordered, ordered[start], side="right"))
    return np.array(found)


def _level_rows(series: pl.Series) -> pl.DataFrame:
    """Each level once, as `level` and its number of `rows`; missing left out."""
    if series.dtype.is_float():
        series = series.fill_nan(None)
    counted = series.alias("level").drop_nulls().value_counts(name="rows")
    return counted.with_columns(_names(counted["level"]))


def _levels(rows: pl.DataFrame) -> tuple[str, ...]:
    total, single = int(rows["rows"].sum()), int((rows["rows"] == 1).sum())
    if rows.height > MAX_LEVELS or single > MAX_SINGLE_SHARE * total:
        rows = rows.filter(pl.col("rows") >= KNOWN_LEVEL_ROWS)
    return tuple(rows.sort("rows", "level", descending=[True, False]).head(MAX_LEVELS)["level"])


def _tally_levels(rows: pl.DataFrame, total: int, bins: Bins) -> Tally:
    named = pl.DataFrame({"level": bins.levels}, schema={"level": pl.String})
    counts = named.join(rows, on="level", how="left", maintain_order="left")["rows"].fill_null(0)
    others = rows.join(named, on="level", how="anti").sort("level")
    return Tally(
        total - int(rows["rows"].sum()),
        (*(int(count) for count in counts), int(others["rows"].sum())),
        others=tuple((name, int(count)) for name, count in others.head(MAX_OTHERS).iter_rows()),
    )

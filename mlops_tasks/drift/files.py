"""Count a Parquet file in the bins of a profile, a slice of its rows at a time.

Only the watched columns are read, and one slice is in memory, so memory does not grow with the
rows. Guarantee, held by a test: the counts are those of the whole file, however it is sliced.
"""

from functools import reduce
from pathlib import Path

import polars as pl

from mlops_tasks.drift.profile import Counts, Profile, count, merge
from mlops_tasks.errors import DataError

ROWS_AT_ONCE = 250_000


def count_file(path: Path, profile: Profile, *, rows_at_once: int = ROWS_AT_ONCE) -> Counts:
    """Count a file as `count` counts a frame.

    Parameters
    ----------
    path
        A Parquet file.
    profile
        Of the reference.
    rows_at_once
        How many rows are in memory; with 30 columns some 0.5 kB each.

    Raises
    ------
    DataError
        If the file cannot be read, or a column of the profile is missing or has another type.
    """
    if rows_at_once < 1:
        raise ValueError("a slice has at least one row")
    try:
        rows = pl.scan_parquet(path, glob=False)
        present = rows.collect_schema().names()
        total = int(rows.select(pl.len()).collect().item())
        # An absent column is named by `count`, in the words that it has for frames.
        rows = rows.select(name for name in profile.columns if name in present)
        return reduce(
            merge,
            (
                count(rows.slice(start, rows_at_once).collect(), profile)
                for start in range(0, max(total, 1), rows_at_once)
            ),
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            "the file cannot be read as Parquet",
            where=f"{path}: {str(error).splitlines()[0][:200]}",
            next_step="write it again, or name another file",
        ) from error

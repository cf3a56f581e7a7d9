"""A Parquet file in parts of so many rows, however they are grouped in it, and few at a time.

Only the row groups that hold the wanted parts are read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

PART_ROWS = 65_536  # as a rule
BUFFER_BYTES = 1 << 20


def row_parts(
    path: Path,
    columns: Mapping[str, pl.DataType],
    size: int,
    first: int = 0,
    end: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Parts of a Parquet file in order, `size` rows each but the last.

    Parameters
    ----------
    path
        A local file.
    columns
        Those that are read, with the type that each is given.
    size
        Rows of a part.
    first, end
        Numbers of the first part and of the one after the last; all from `first` on without `end`.
    """
    from pyarrow.parquet import ParquetFile

    waiting: list[pl.DataFrame] = []
    height = 0
    # Read ahead, pyarrow would keep all that it has read.
    with ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
        rows = file.metadata.num_rows
        stop = rows if end is None else min(end * size, rows)
        groups, skipped = _groups(file, first * size, stop)
        left = max(stop - first * size, 0)
        # With threads of its own it would wait for those of the model.
        for batch in file.iter_batches(
            size, row_groups=groups, columns=list(columns), use_threads=False
        ):
            frame: Any = pl.from_arrow(batch)
            skip = min(skipped, frame.height)
            frame = frame.select(list(columns)).cast(dict(columns))[skip : skip + left]
            waiting.append(frame)
            skipped, left, height = skipped - skip, left - frame.height, height + frame.height
            while height >= size:
                whole = pl.concat(waiting)
                yield whole[:size]
                waiting, height = [whole[size:]], height - size
    if height:
        yield pl.concat(waiting)


def _groups(file: Any, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups that hold rows from `start` to `stop`, and how many come before `start`."""
    groups: list[int] = []
    before = at = 0
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).num_rows
        if at < stop and at + size > start:
            before = before if groups else start - at
            groups.append(number)
        at += size
    return groups, before

"""Frames in and out of the store: Parquet that is named by content.

Writing the same rows gives the same bytes, so the digest of a `Dataset` says what is in it.
What the columns mean is the contract's affair.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from mlops_tasks.artifacts import Dataset
from mlops_tasks.data.row_parts import PART_ROWS
from mlops_tasks.errors import DataError
from mlops_tasks.storage import fetch, put

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    # Names are names: a bracket in a folder's name is no pattern.
    ".parquet": lambda path: pl.read_parquet(path, glob=False),
    ".csv": lambda path: pl.read_csv(path, glob=False, try_parse_dates=True),
    ".ndjson": lambda path: pl.read_ndjson(path.read_bytes()),
}


def write_frame(
    frame: pl.DataFrame, store: str, *, regions: tuple[str, ...], dvc_rev: str = ""
) -> Dataset:
    """Keep a frame in the store.

    Raises
    ------
    StorageError
        If the store cannot be written; nothing is left under a final name.
    """
    uri, digest, _ = put(store, lambda path: write_parquet(frame, path), ".parquet")
    return Dataset(uri, digest, frame.height, tuple(frame.columns), regions, dvc_rev)


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file here.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    try:
        frame.write_parquet(path)
    except pl.exceptions.ComputeError as error:  # this is how polars says: the disk is full
        raise OSError(str(error).rpartition("IO error: ")[2]) from error


def read_frame(dataset: Dataset) -> pl.DataFrame:
    """Read a dataset back.

    Raises
    ------
    StorageError
        If it is gone.
    AlteredObject
        If its bytes are not what its digest says.
    """
    with fetch(dataset.uri, dataset.digest) as path:
        return read_file(path)


def read_file(path: Path, of: Path | None = None) -> pl.DataFrame:
    """Read a Parquet, CSV or newline-JSON file by its ending.

    Parameters
    ----------
    path
        Where its content lies.
    of
        The file of which that is a copy: its ending counts, and errors name it.

    Raises
    ------
    DataError
        If the ending is unknown, or the file is empty or not what its ending says.
    """
    named = of or path
    reader = READERS.get(named.suffix)
    if reader is None:
        raise DataError(
            f"files ending in {named.suffix!r} cannot be read",
            where=str(named),
            next_step=f"use one of {', '.join(READERS)}",
        )
    with _reading(path, named):
        frame = reader(path)
    if frame.is_empty():
        raise DataError("the data file has no rows", where=str(named), next_step=_RESTORE)
    return frame


def look_through(path: Path, of: Path) -> tuple[int, tuple[str, ...]]:
    """Read all of a Parquet file, a part at a time, and keep nothing: is it readable?

    Parameters
    ----------
    path, of
        As for `read_file`.

    Returns
    -------
    tuple of int, tuple of str
        The number of rows and the names of the columns.

    Raises
    ------
    DataError
        As `read_file`.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    with _reading(path, of, (ArrowException,)), ParquetFile(path, pre_buffer=False) as file:
        columns = tuple(pl.read_parquet_schema(path))
        rows = sum(batch.num_rows for batch in file.iter_batches(PART_ROWS))
    if rows == 0:
        raise DataError("the data file has no rows", where=str(of), next_step=_RESTORE)
    return rows, columns


@contextlib.contextmanager
def _reading(path: Path, named: Path, more: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    if path.stat().st_size == 0:
        raise DataError("the data file is empty (0 bytes)", where=str(named), next_step=_RESTORE)
    expected = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
    try:
        yield
    except expected + more as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"the data file is not readable as {named.suffix[1:]}: {said[:300]}",
            where=str(named),
            next_step=_RESTORE,
        ) from error


_RESTORE = "restore the last version with `dvc checkout --force`"

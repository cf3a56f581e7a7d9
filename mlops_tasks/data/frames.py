"""Frames in and out of the store: Parquet that is named by content.

Writing the same rows gives the same bytes, so the digest of a `Dataset` says what is in it.
What the columns mean is the contract's affair.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from mlops_tasks.artifacts import Dataset
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

    def write(path: Path) -> None:
        try:
            frame.write_parquet(path)
        except pl.exceptions.ComputeError as error:  # this is how polars says: the disk is full
            raise OSError(str(error).rpartition("IO error: ")[2]) from error

    uri, digest, _ = put(store, write, ".parquet")
    return Dataset(uri, digest, frame.height, tuple(frame.columns), regions, dvc_rev)


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


def read_file(path: Path) -> pl.DataFrame:
    """Read a Parquet, CSV or newline-JSON file by its ending.

    Raises
    ------
    DataError
        If the ending is unknown, or the file is empty or not what its ending says.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise DataError(
            f"files ending in {path.suffix!r} cannot be read",
            where=str(path),
            next_step=f"use one of {', '.join(READERS)}",
        )
    if path.stat().st_size == 0:
        raise DataError("the data file is empty (0 bytes)", where=str(path), next_step=_RESTORE)
    try:
        frame = reader(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"the data file is not readable as {path.suffix[1:]}: {said[:300]}",
            where=str(path),
            next_step=_RESTORE,
        ) from error
    if frame.is_empty():
        raise DataError("the data file has no rows", where=str(path), next_step=_RESTORE)
    return frame


_RESTORE = "restore the last version with `dvc checkout --force`"

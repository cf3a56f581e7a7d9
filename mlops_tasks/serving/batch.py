"""Score a whole dataset with the champion, and say in every row which version scored it.

Rows are read, scored and written in parts, so memory does not grow with their number. A part that
is finished is kept in the store by its content, under a folder named by all that it depends on: a
run that was killed goes on where it was. The folder goes when the result is there.

Each part is one row group of the result. That is how a row group tells its version without the
others: the statistics of its columns `model_version` and `model_digest` have that one value as
minimum and maximum, in the group's own metadata; the file's metadata has both as well.

Guarantees, each held by a test: the result has one row for each row, in their order; after a kill
at any moment the next run gives the bytes that an undisturbed run would have given; a part that was
altered is scored again.
"""

from collections.abc import Iterator
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_tasks.artifacts import Champion, Columns, Dataset, digest
from mlops_tasks.data.frames import read_frame
from mlops_tasks.data.placement import common_regions
from mlops_tasks.errors import DataError, StorageError
from mlops_tasks.evaluation.metrics import THRESHOLD
from mlops_tasks.storage import fetch, put
from mlops_tasks.training.fit import SCORE, scores_of
from mlops_tasks.training.model_files import read_model

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from upath import UPath

PART_ROWS = 131_072
BUFFER_BYTES = 1 << 20
WORK = "scoring"
CONSTANT = ["model_version", "model_digest"]
# Other versions may score or write with other last bits.
LIBRARIES = ("mlops-tasks", "polars", "pyarrow", "scikit-learn")


def score_batch(champion: Champion, rows: Dataset, *, store: str) -> Dataset:
    """Key, target (where known), score, prediction, version and digest for every row.

    Parameters
    ----------
    champion
        Its model file is verified before it is loaded.
    rows
        Rows that fulfil the contract.
    store
        Folder URI for the result, and for finished parts until it is there.

    Raises
    ------
    StorageError
        If the model or the rows are gone or altered, or the store cannot be written.
    DataError
        If there are no rows, or not the columns that the model sees.
    """
    regions = common_regions(champion, rows)
    candidate = champion.candidate
    estimator = read_model(candidate.model_uri, candidate.digest)
    work = _work_folder(champion, rows, store)
    done = []
    with fetch(rows.uri, rows.digest) as path:
        needed = _needed(path, candidate.columns)
        for number, part in enumerate(_parts(path, needed)):
            folder = f"{work}/{number:06d}"
            found = _kept(folder, part.height, regions)
            if found is None:
                found = _keep(folder, _scored(estimator, part, champion), regions)
            done.append(found)
    if not done:
        raise DataError("there are no rows to score", where=rows.uri, next_step="give it some")
    uri, content, _ = put(store, lambda file: _join(done, champion, file), ".parquet")
    _forget(work)
    count = sum(part.rows for part in done)
    return Dataset(uri, content, count, done[0].columns, regions, rows.dvc_rev)


def _work_folder(champion: Champion, rows: Dataset, store: str) -> str:
    """Named by all that decides which bytes a part has."""
    versions = [version_of(name) for name in LIBRARIES]
    candidate = champion.candidate
    inputs = [champion.version, candidate.digest, candidate.columns, rows.digest, PART_ROWS]
    return f"{store.rstrip('/')}/{WORK}/{digest([*inputs, versions])}"


def _needed(path: Path, columns: Columns) -> dict[str, pl.DataType]:
    schema = pl.read_parquet_schema(path)
    needed = [*columns.key, *columns.features]
    if missing := [name for name in needed if name not in schema]:
        raise DataError(
            f"the rows have no column {missing[0]!r}",
            where=str(path),
            next_step="score rows that fulfil the contract of schema.py",
        )
    kept = {*needed, columns.target}
    return {name: dtype for name, dtype in schema.items() if name in kept}


def _parts(path: Path, needed: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    """The rows of a file in order, `PART_ROWS` at a time, however they are grouped in it."""
    from pyarrow.parquet import ParquetFile

    waiting: list[pl.DataFrame] = []
    height = 0
    # Read ahead, pyarrow would keep all that it has read.
    with ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
        for batch in file.iter_batches(PART_ROWS, columns=list(needed)):
            frame: Any = pl.from_arrow(batch)
            waiting.append(frame.select(list(needed)).cast(dict(needed)))
            height += frame.height
            while height >= PART_ROWS:
                whole = pl.concat(waiting)
                yield whole[:PART_ROWS]
                waiting, height = [whole[PART_ROWS:]], height - PART_ROWS
    if height:
        yield pl.concat(waiting)


def _scored(estimator: "BaseEstimator", part: pl.DataFrame, champion: Champion) -> pl.DataFrame:
    return scores_of(estimator, part, champion.candidate.columns).with_columns(
        (pl.col(SCORE) >= THRESHOLD).cast(pl.Int64).alias("prediction"),
        pl.lit(champion.version, pl.Int64).alias("model_version"),
        pl.lit(champion.candidate.digest).alias("model_digest"),
    )


def _keep(folder: str, part: pl.DataFrame, regions: tuple[str, ...]) -> Dataset:
    """Keep a finished part, quickly: it is read once, and then gone."""
    from pyarrow.parquet import write_table

    table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
    quick = {"compression": "none", "use_dictionary": CONSTANT, "write_statistics": False}
    uri, content, _ = put(folder, lambda file: write_table(table, file, **quick), ".parquet")
    return Dataset(uri, content, part.height, tuple(part.columns), regions)


def _kept(folder: str, rows: int, regions: tuple[str, ...]) -> Dataset | None:
    """A part that an earlier run has finished, if its content is still what it was."""
    for file in _files(folder):
        try:
            frame = read_frame(Dataset(str(file), file.stem, rows, (), regions))
        except (StorageError, DataError):
            file.unlink(missing_ok=True)  # or the good one would be taken to be there already
            continue
        if frame.height == rows:
            return Dataset(str(file), file.stem, rows, tuple(frame.columns), regions)
    return None


def _files(folder: str) -> list["UPath"]:
    from upath import UPath

    try:
        found = sorted(UPath(folder).glob("*/*.parquet"), key=str)
    except FileNotFoundError:
        return []
    return [file for file in found if file.parent.name == file.stem[:2]]  # not one being written


def _join(parts: list[Dataset], champion: Champion, file: Path) -> None:
    from pyarrow.parquet import ParquetWriter, read_table

    writer: ParquetWriter | None = None
    values = (str(champion.version), champion.candidate.digest)
    said = dict(zip(CONSTANT, values, strict=True))
    try:
        for part in parts:
            with fetch(part.uri, part.digest) as path:
                table = read_table(path)
            if writer is None:
                metadata = (table.schema.metadata or {}) | said
                schema = table.schema.with_metadata(metadata)
                # Keys and scores are all different: looking for repetitions costs time.
                writer = ParquetWriter(file, schema, use_dictionary=CONSTANT)
            writer.write_table(table, row_group_size=PART_ROWS)
    finally:
        if writer is not None:
            writer.close()


def _forget(work: str) -> None:
    from upath import UPath

    folder = UPath(work)
    try:
        folder.fs.rm(folder.path, recursive=True)
    except OSError:  # another run of the same was quicker
        return

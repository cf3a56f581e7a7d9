"""Score a whole dataset with the champion, and say in every row which version scored it.

Rows are read, scored and written in parts, so memory does not grow with their number. A part that
is finished is kept in the store by its content, under a folder named by all that it depends on: a
run that was killed goes on where it was. The folder goes when the result is there.

Each part is one row group of the result. That is how a row group tells its version without the
others: the statistics of its columns `model_version` and `model_digest` have that one value as
minimum and maximum, in the group's own metadata; the file's metadata has both as well.

Guarantees, each held by a test: the result has one row for each row, in their order; after a kill
at any moment the next run gives the bytes that an undisturbed run would have given; a part that was
altered is scored again; of rows that were altered nothing is kept.
"""

import contextlib
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mlops_tasks.artifacts import Champion, Columns, Dataset
from mlops_tasks.data.placement import common_regions
from mlops_tasks.data.row_parts import row_parts
from mlops_tasks.encoding import digest
from mlops_tasks.errors import DataError, StorageError
from mlops_tasks.evaluation.metrics import THRESHOLD
from mlops_tasks.serving.side_by_side import side_by_side
from mlops_tasks.storage import fetch, fetch_unverified, put
from mlops_tasks.storage.places import place
from mlops_tasks.storage.transfer import entries
from mlops_tasks.training.fit import SCORE, scores_of
from mlops_tasks.training.model_files import read_model

if TYPE_CHECKING:
    from pyarrow import Table
    from sklearn.base import BaseEstimator
    from upath import UPath

PART_ROWS = 65_536
WORK = "scoring"
PART = ".arrow"
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
    with contextlib.closing(_parts(champion, rows, 0, None, store)) as parts:
        return join_parts(champion, rows, parts, store=store)  # while later ones are scored


def parts_of(rows: Dataset) -> int:
    """How many parts a dataset is scored in."""
    return -(-rows.rows // PART_ROWS)


def score_parts(
    champion: Champion, rows: Dataset, first: int = 0, end: int | None = None, *, store: str
) -> tuple[Dataset, ...]:
    """Score the parts from `first` up to `end`, not included; those that are kept are not again.

    Only the row groups that hold these parts are read. See `score_batch`.
    """
    return tuple(_parts(champion, rows, first, end, store))


def _parts(
    champion: Champion, rows: Dataset, first: int, end: int | None, store: str
) -> Generator[Dataset]:
    regions = common_regions(champion, rows)
    candidate = champion.candidate
    estimator = read_model(candidate.model_uri, candidate.digest)
    work = _work_folder(champion, rows, store)

    def done(numbered: tuple[int, pl.DataFrame]) -> Dataset:
        number, part = numbered
        folder = f"{work}/{number:06d}"
        if kept := _kept(folder, part.height, regions):
            return kept
        scored = _scored(estimator, part, champion)
        verified.result()
        return _keep(folder, scored, regions)

    with (
        fetch_unverified(rows.uri, rows.digest) as (path, verify),
        ThreadPoolExecutor(1) as beside,
    ):
        verified = beside.submit(verify)  # takes as long as the first parts
        try:
            parts = row_parts(path, _needed(path, candidate.columns), PART_ROWS, first, end)
            yield from side_by_side(done, enumerate(parts, start=first))
        finally:
            verified.result()  # that the rows were altered is why they could not be read


def join_parts(
    champion: Champion, rows: Dataset, parts: Iterable[Dataset], *, store: str
) -> Dataset:
    """Make one result of all scored parts, in their order. See `score_batch`."""
    joined: list[Dataset] = []
    uri, content, _ = put(
        store, lambda file: joined.extend(_join(parts, champion, rows, file)), ".parquet"
    )
    _forget(_work_folder(champion, rows, store))
    count, columns = sum(part.rows for part in joined), (*joined[0].columns, *CONSTANT)
    return Dataset(uri, content, count, columns, common_regions(champion, rows), rows.dvc_rev)


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


def _scored(estimator: "BaseEstimator", part: pl.DataFrame, champion: Champion) -> pl.DataFrame:
    found = scores_of(estimator, part, champion.candidate.columns)
    if not (known := found[SCORE].is_finite().fill_null(False)).all():
        first = found.filter(~known).row(0, named=True)
        raise DataError(
            "the model has no score for a row",
            where=", ".join(f"{name} {first[name]}" for name in champion.candidate.columns.key),
            next_step="leave the row out, or train a model that can take its values",
        )
    return found.with_columns((pl.col(SCORE) >= THRESHOLD).cast(pl.Int64).alias("prediction"))


def _keep(folder: str, part: pl.DataFrame, regions: tuple[str, ...]) -> Dataset:
    """Keep a finished part, quickly: as it lies in memory. It is read once, and then gone."""
    import pyarrow as pa

    table = part.to_arrow(compat_level=pl.CompatLevel.oldest())

    def write(path: Path) -> None:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    uri, content, _ = put(folder, write, PART)
    return Dataset(uri, content, part.height, tuple(part.columns), regions)


def _kept(folder: str, rows: int, regions: tuple[str, ...]) -> Dataset | None:
    """A part that an earlier run has finished, if its content is still what it was."""
    for file in _files(folder):
        try:
            table = _read(str(file), file.stem)
        except StorageError:
            file.unlink(missing_ok=True)  # or the good one would be taken to be there already
            continue
        if table.num_rows == rows:
            return Dataset(str(file), file.stem, rows, tuple(table.column_names), regions)
    return None


def _files(folder: str) -> list["UPath"]:
    found = [file for inner in entries(place(folder)) for file in entries(inner)]
    return [
        file
        for file in sorted(found, key=str)
        if file.suffix == PART and file.parent.name == file.stem[:2]  # not one being written
    ]


def _join(
    parts: Iterable[Dataset], champion: Champion, rows: Dataset, file: Path
) -> Iterator[Dataset]:
    """Write the parts to `file`; each is yielded when it is in it."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    writer: ParquetWriter | None = None
    version, digest = champion.version, champion.candidate.digest
    constant = [pa.scalar(version, pa.int64()), pa.scalar(digest, pa.large_string())]
    said = dict(zip(CONSTANT, (str(version), digest), strict=True))
    try:
        for part in parts:
            table = _read(part.uri, part.digest)
            for name, value in zip(CONSTANT, constant, strict=True):
                table = table.append_column(name, pa.repeat(value, table.num_rows))
            if writer is None:
                metadata = (table.schema.metadata or {}) | said
                schema = table.schema.with_metadata(metadata)
                # Keys and scores are all different: looking for repetitions costs time.
                writer = ParquetWriter(file, schema, use_dictionary=CONSTANT)
            writer.write_table(table, row_group_size=PART_ROWS)
            yield part
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise DataError("there are no rows to score", where=rows.uri, next_step="give it some")


def _read(uri: str, digest: str) -> "Table":
    """A finished part, verified."""
    import pyarrow as pa

    with fetch(uri, digest) as path, pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _forget(work: str) -> None:
    folder = place(work)
    try:
        folder.fs.rm(folder.path, recursive=True)
    except OSError:  # another run of the same was quicker
        return

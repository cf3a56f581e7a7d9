"""Which version of a file is this? A snapshot pins what a file holds to a revision of DVC.

Guarantees of `snapshot`, each held by a test: the bytes that are kept are the bytes of the revision
that is recorded, whoever changes file and revision meanwhile; a changed file becomes a new
revision, which the default remote has before anything is trained on it, so that it can be fetched
again; a Parquet file is kept as it is, and memory does not grow with its rows (others are read
whole).
"""

import shutil
from pathlib import Path

from mlops_tasks.artifacts import Dataset
from mlops_tasks.data.frames import look_through, read_file, write_parquet
from mlops_tasks.data.repository import pull, record, revision_of
from mlops_tasks.errors import DataError, DataUnavailable
from mlops_tasks.settings.residency import ResidencyRule
from mlops_tasks.storage import put

READINGS = 3


class _Changed(Exception):
    """File or revision changed while the file was read."""


def snapshot(root: str, path: str, *, store: str, residency: ResidencyRule) -> Dataset:
    """Pin a data file to a DVC revision and keep its rows in the store.

    Parameters
    ----------
    root
        The project's folder, where `.dvc/` is.
    path
        The data file, relative to `root`, tracked by DVC (`<path>.dvc` exists).
    store
        Folder URI for the content-addressed copy.
    residency
        Where the rows may be processed, and where versions of them may be sent.

    Raises
    ------
    DataUnavailable
        If the file is missing and the remote cannot deliver it, if it changed and the remote cannot
        take it, or if it changes whenever it is read.
    DataError
        If the file is empty or not readable.
    ResidencyRefused
        If it changed and the remote is not where such data may be kept.
    """
    file, pointer = Path(root) / path, Path(root) / f"{path}.dvc"
    if not pointer.is_file() and not file.is_file():
        raise DataUnavailable(
            "the data file is missing and DVC does not know it",
            where=str(file),
            next_step=f"put the file there and run `dvc add {path}`, or correct `data.path`",
        )
    if not file.is_file():
        pull(root, file, pointer)
    for _ in range(READINGS):
        try:
            return _pinned(root, file, pointer, store, residency)
        except _Changed:
            continue
    raise DataUnavailable(
        "the data file, or its revision, changes whenever it is read",
        where=str(file),
        next_step="wait until whatever writes it is done, then run the same again",
    )


def _pinned(root: str, file: Path, pointer: Path, store: str, residency: ResidencyRule) -> Dataset:
    """Copy, and then ask which revision the copy is: the copy does not change any more."""
    found: list[tuple[int, tuple[str, ...], str]] = []

    def write(copy: Path) -> None:
        _copy(file, copy)
        if file.suffix == ".parquet":
            rows, columns = look_through(copy, file)
        else:
            frame = read_file(copy, file)
            rows, columns = frame.height, tuple(frame.columns)
        pinned = revision_of(copy, pointer)
        if pinned is None:
            record(root, file, pointer, residency)
            pinned = revision_of(copy, pointer)
        if pinned is None:
            raise _Changed
        if file.suffix != ".parquet":
            write_parquet(frame, copy)
        found.append((rows, columns, pinned))

    uri, digest, _ = put(store, write, ".parquet")
    rows, columns, pinned = found[0]
    return Dataset(uri, digest, rows, columns, residency.regions, pinned)


def _copy(file: Path, copy: Path) -> None:
    try:
        source = file.open("rb")
    except OSError as error:
        raise DataError(
            f"the data file cannot be read: {error.strerror}",
            where=str(file),
            next_step="see that you may read it",
        ) from error
    with source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def fingerprint(root: str, path: str) -> str:
    """A cheap stand-in for the content of a tracked file: changes whenever the file may have.

    Size, modification and change time and inode of the file, and the text of its `.dvc` file: what
    DVC itself goes by.
    """
    file, pointer = Path(root) / path, Path(root) / f"{path}.dvc"
    parts = [path]
    if file.is_file():
        stat = file.stat()
        parts += [str(n) for n in (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)]
    if pointer.is_file():
        parts.append(pointer.read_text(encoding="utf-8"))
    return "|".join(parts)

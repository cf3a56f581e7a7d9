"""Journals that nobody writes any more become Parquet, each exactly once.

Guarantees, each held by a test: a segment is deleted only after its Parquet file is there, and a
segment whose Parquet file is there is not turned into another one; two processes that try at once
end with one file; a segment whose writer lives is left alone. What cannot be read is kept aside
(`….damaged`) and told of in the process's log.
"""

import io
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log.journal import day_of, read_segment, segments
from mlops_tasks.serving.prediction_log.places import Place, publish
from mlops_tasks.serving.prediction_log.segment import SUFFIX, lock_of
from mlops_tasks.storage.whole_files import sync_folder

if TYPE_CHECKING:
    import polars as pl
    from upath import UPath

DAMAGED = f"{SUFFIX}.damaged"
LONE_LOCK_SECONDS = 3600.0
_log = logging.getLogger(__name__)


def seal(place: Place) -> int:
    """Turn all segments whose writers have closed them, or are dead, into Parquet.

    Returns
    -------
    int
        How many segments went.

    Raises
    ------
    StorageError
        If the log's folder cannot be written; what is not sealed is kept for the next time.
    """
    gone = 0
    try:
        for path in segments(place.journal):
            gone += _sealed(place, path)
        _sweep(place.journal)
    except (OSError, NotImplementedError) as error:
        raise StorageError(
            f"the prediction log cannot be written: {getattr(error, 'strerror', '') or error}",
            where=str(place.folder),
            next_step="free space, or check `stack.predictions`; nothing is lost meanwhile",
        ) from error
    return gone


def is_waiting(place: Place) -> bool:
    """Whether there is a segment that nobody writes any more, and nobody seals."""
    return any(_is_free(path) for path in segments(place.journal))


def parquet_of(place: Place, path: Path) -> "UPath":
    """The file that a segment becomes."""
    name = path.name.removesuffix(SUFFIX).partition(".")[2]
    return place.day(day_of(path)) / f"{name}.parquet"


def as_parquet(frame: "pl.DataFrame") -> bytes:
    """A frame as the bytes of a Parquet file."""
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _sealed(place: Place, path: Path) -> bool:
    from filelock import Timeout

    lock = lock_of(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        if not path.exists():  # somebody else was quicker
            return False
        target = parquet_of(place, path)
        if not target.exists():
            found = read_segment(path)
            if found.damaged:
                _keep_aside(path, found.damaged)
            if found.frame.height:
                publish(target, as_parquet(found.frame))
        path.unlink()
        return True
    finally:
        # The segment is gone, and its name is never used again: so may its lock.
        if not path.exists():
            _unlink_if_possible(Path(f"{path}.lock"))
        lock.release()


def _is_free(path: Path) -> bool:
    from filelock import Timeout

    lock = lock_of(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _keep_aside(path: Path, damaged: int) -> None:
    import shutil

    copy = path.with_name(path.name.removesuffix(SUFFIX) + DAMAGED)
    shutil.copyfile(path, copy)
    with copy.open("rb+") as stream:
        os.fsync(stream.fileno())
    sync_folder(copy.parent)
    _log.error("%d parts of a journal cannot be read: it is kept as %s", damaged, copy)


def _sweep(folder: Path) -> None:
    """Locks of writers that died before they wrote; young ones may be about to."""
    for lock in folder.glob(f"*{SUFFIX}.lock"):
        lone = not lock.with_name(lock.name.removesuffix(".lock")).exists()
        if lone and time.time() - lock.stat().st_mtime > LONE_LOCK_SECONDS:
            _unlink_if_possible(lock)


def _unlink_if_possible(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:  # Windows: it is open; the next sweep gets it
        return

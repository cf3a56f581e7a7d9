"""Answers as lines of a local file, each there when `Segment.append` returns.

A line is JSON: an object that says for which model and which columns the following ones hold (a
context, with a number), or a list: context, request id, microseconds since 1970, milliseconds,
rows, scores, predictions. One segment holds the records of one day, by their own time.

Guarantees, each held by a test: after `append` returned, a killed process loses nothing; after
`sync`, a machine without power loses nothing; a line that did not fit on the disk leaves no trace
in those before and after it. Only an unfinished last line is passed over in silence: nobody was
told that it is there.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from mlops_tasks.serving.prediction_log.places import sync_folder
from mlops_tasks.serving.prediction_log.records import COLUMNS, FEATURE, MOMENT

if TYPE_CHECKING:
    from filelock import BaseFileLock

SUFFIX = ".ndjson"
MODE = 0o600  # features may be anything


class Context(NamedTuple):
    """What many records of a segment have in common."""

    model: str
    version: int
    digest: str
    region: str
    role: str
    columns: tuple[str, ...]


class Segment:
    """A file that this process alone appends to, under a lock that ends with the process.

    Parameters
    ----------
    path
        Where it is made; its name begins with its day.

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.born = time.monotonic()
        self.rows = 0
        self.broken = self.torn = False
        self._numbers: dict[Context, int] = {}
        self._size = self._synced = 0
        self._named = False
        self._syncing = threading.Lock()
        self._lock = lock_of(path)
        # Before there is a file: whoever finds one that nobody holds may take it.
        self._lock.acquire(timeout=0)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._handle = os.open(path, flags, MODE)
        except OSError:
            self._lock.release()
            raise

    def append(self, context: Context, request: list[Any], rows: int) -> int:
        """Write one record; not for two threads at once. Returns the size to `sync` up to.

        Raises
        ------
        OSError
            If it does not fit; then nothing of it is left.
        """
        import msgspec

        number = self._numbers.get(context)
        line = b""
        if number is None:
            number = len(self._numbers)
            line = msgspec.json.encode({"context": number} | context._asdict()) + b"\n"
        request[0] = number
        line += msgspec.json.encode(request) + b"\n"
        self._write(line)
        self._numbers[context] = number
        self.rows += rows
        return self._size

    def sync(self, size: int | None = None) -> None:
        """Return when the first `size` bytes (all, if not given) are on the disk.

        Threads that wait for one another are served by one call to the disk.

        Raises
        ------
        OSError
            If the disk does not take them; the segment is not to be used any more.
        """
        wanted = self._size if size is None else size
        with self._syncing:
            if self._synced < wanted:
                self._sync()

    def close(self) -> None:
        """Let others turn it into Parquet; what waits in `sync` is served first.

        Raises
        ------
        OSError
            If the disk does not take the last records; it is closed all the same.
        """
        with self._syncing:
            try:
                if self._synced < self._size:
                    self._sync()
            finally:
                os.close(self._handle)
                self._lock.release()

    def _sync(self) -> None:
        if self.broken:
            # Asked again, a disk that failed says that all is well.
            raise OSError("the disk failed before")
        target = self._size
        try:
            os.fsync(self._handle)
            if not self._named:
                sync_folder(self.path.parent)
        except OSError:
            self.broken = True
            raise
        self._named, self._synced = True, target

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:  # once, unless the disk is nearly full
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            if len(rest) < len(line):
                self._cut()
            raise
        self._size += len(line)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._handle, self._size)
        except OSError:
            self.torn = True  # and must stay the last line


@dataclass(frozen=True, slots=True)
class Read:
    """What a segment says. `damaged` counts finished lines that say nothing."""

    frame: pl.DataFrame
    damaged: int


def lock_of(path: Path) -> "BaseFileLock":
    """The lock that the writer of a segment holds as long as it lives."""
    from filelock import FileLock

    return FileLock(f"{path}.lock", thread_local=False, mode=MODE)


def day_of(path: Path) -> date:
    """The day whose records a segment holds; `ValueError` if it is none."""
    return date.fromisoformat(path.name.partition(".")[0])


def segments(folder: Path) -> list[Path]:
    """The segments of a folder, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if _is_segment(path))


def read_segment(path: Path) -> Read:
    """The finished records of a segment, also while it is being written.

    Raises
    ------
    OSError
        If it is gone or cannot be read.
    """
    contexts: dict[int, Context] = {}
    found: dict[Context, list[list[Any]]] = defaultdict(list)
    damaged = 0
    for said in _lines(path.read_bytes()):
        try:
            if isinstance(said, dict):
                number = said.pop("context")
                contexts[number] = Context(**said | {"columns": tuple(said["columns"])})
            else:
                context = contexts[said[0]]
                _require_record(said, len(context.columns))
                found[context].append(said)
        except (KeyError, TypeError, ValueError):
            damaged += 1
    frames = [_frame(context, records) for context, records in found.items()]
    return Read(joined(frames), damaged)


def joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Frames of different models as one; what one does not have is missing in it."""
    return pl.concat([pl.DataFrame(schema=COLUMNS), *frames], how="diagonal_relaxed")


def _lines(content: bytes) -> Iterator[Any]:
    from pydantic_core import from_json

    *finished, _ = content.split(b"\n")
    for line in finished:
        try:
            yield from_json(line)
        except ValueError:
            yield None


def _require_record(said: list[Any], width: int) -> None:
    _, request_id, at, latency, rows, scores, predictions = said
    fits = isinstance(request_id, str) and isinstance(at, int) and len(rows) > 0
    fits &= latency is None or isinstance(latency, int | float)
    fits &= len(rows) == len(scores) == len(predictions)
    fits &= all(len(row) == width for row in rows)
    fits &= all(score is None or isinstance(score, int | float) for score in scores)
    if not (fits and all(isinstance(each, int) for each in predictions)):
        raise ValueError("not a record")


def _frame(context: Context, records: list[list[Any]]) -> pl.DataFrame:
    numbers = [row for record in records for row in range(len(record[4]))]
    rows = [row for record in records for row in record[4]]
    lengths = [len(record[4]) for record in records]
    each = pl.DataFrame(
        {
            "request_id": [record[1] for record in records],
            "time": pl.Series([record[2] for record in records], dtype=pl.Int64).cast(MOMENT),
            "latency_ms": pl.Series([record[3] for record in records], dtype=pl.Float64),
        }
    )
    times = pl.Series(lengths, dtype=pl.UInt32)
    repeated = each.select(pl.all().repeat_by(times).explode())
    scores = [score for record in records for score in record[5]]
    predictions = [prediction for record in records for prediction in record[6]]
    features = [
        pl.Series(f"{FEATURE}{name}", values, strict=False)
        for name, values in zip(context.columns, zip(*rows, strict=True), strict=True)
    ]
    return repeated.with_columns(
        pl.Series("row", numbers, dtype=pl.Int32),
        *(pl.lit(getattr(context, name)).alias(name) for name in Context._fields[:-1]),
        pl.Series("score", scores, dtype=pl.Float64),
        pl.Series("prediction", predictions, dtype=pl.Int64),
        *features,
    ).select(*COLUMNS, *(each.name for each in features))


def _is_segment(path: Path) -> bool:
    try:
        day_of(path)
    except ValueError:
        return False
    return True

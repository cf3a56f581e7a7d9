"""A file that answers go to, each there when `Segment.append` returns.

It holds pieces (see `framing`) of MessagePack: an object that says for which model and which
columns the following records are (a context, with a number), or a list, one answered request:
context, request id, microseconds since 1970, milliseconds, rows, scores, predictions. Not JSON:
numbers as text took as long as decoding the request. One segment holds the records of one day, by
their own time; `journal` reads it.

Guarantees, each held by a test: after `append` returned, a killed process loses nothing; after
`sync`, a machine without power loses nothing; a record that did not fit on the disk leaves no trace
in those before and after it.
"""

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_tasks.serving.prediction_log.framing import framed
from mlops_tasks.storage.whole_files import sync_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

SUFFIX = ".journal"
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
        self._syncing = False
        self._disk = threading.Condition()
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
        told = b""
        if number is None:
            number = len(self._numbers)
            told = framed(msgspec.msgpack.encode({"context": number} | context._asdict()))
        request[0] = number
        self._write(told + framed(msgspec.msgpack.encode(request)))
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
        with self._disk:
            while self._synced < wanted:
                if self._syncing:
                    self._disk.wait()
                else:
                    self._sync()

    def close(self) -> None:
        """Let others turn it into Parquet; what waits in `sync` is served first.

        Raises
        ------
        OSError
            If the disk does not take the last records; it is closed all the same.
        """
        with self._disk:
            self._disk.wait_for(lambda: not self._syncing)
            try:
                if self._synced < self._size:
                    self._sync()
            finally:
                os.close(self._handle)
                self._lock.release()

    def _sync(self) -> None:
        """Call the disk; the caller holds `_disk`, and others get it meanwhile."""
        if self.broken:
            # Asked again, a disk that failed says that all is well.
            raise OSError("the disk failed before")
        target, self._syncing = self._size, True
        self._disk.release()
        try:
            os.fsync(self._handle)
            if not self._named:
                sync_folder(self.path.parent)
        except OSError:
            self.broken = True
            raise
        finally:
            self._disk.acquire()
            self._syncing = False
            self._disk.notify_all()
        self._named, self._synced = True, target

    def _write(self, record: bytes) -> None:
        rest = memoryview(record)
        try:
            while rest:  # once, unless the disk is nearly full
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            if len(rest) < len(record):
                self._cut()
            raise
        self._size += len(record)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._handle, self._size)
        except OSError:
            self.torn = True  # and must stay the last piece


def lock_of(path: Path) -> "BaseFileLock":
    """The lock that the writer of a segment holds as long as it lives."""
    from filelock import FileLock

    return FileLock(f"{path}.lock", thread_local=False, mode=MODE)

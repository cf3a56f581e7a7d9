"""One command at a time starts or stops the platform of a home.

Guarantee: the lock is the operating system's, on an open file, so that of a process that died is
free, whatever files it left behind.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.services.record import writing

LOCK = "lock"
LOCK_SECONDS = 600.0


@contextlib.contextmanager
def alone(
    folder: Path, waiting: Callable[[], None], *, seconds: float = LOCK_SECONDS
) -> Iterator[None]:
    """Keep other commands out while the block runs.

    Parameters
    ----------
    folder
        The folder of the record.
    waiting
        Called if somebody else is at it.
    seconds
        How long to wait for the other.

    Raises
    ------
    PlatformError
        If the other does not end in time, or the lock cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    with writing(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            try:
                lock.acquire(timeout=seconds)
            except Timeout:
                raise PlatformError(
                    f"another command has been at it for {seconds:g} s",
                    where=str(folder / LOCK),
                    next_step="look for it: ps -ef | grep mlops",
                ) from None
    try:
        yield
    finally:
        lock.release()

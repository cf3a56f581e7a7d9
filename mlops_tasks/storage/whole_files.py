"""Files of this machine that appear whole or not at all.

Guarantees, each held by a test of those who write so: who reads finds the old content or the new
one, after a kill and on a full disk too; an error leaves no scratch file. A `durable` file is on
the disk, name and content, when the writing returns.
"""

import os
import tempfile
from pathlib import Path

SCRATCH = ".part"  # ends the name of a file that is being written; it begins with a dot


def write_whole(
    target: Path, content: bytes, *, mode: int | None = None, durable: bool = True
) -> None:
    """Write a file, or replace one.

    Parameters
    ----------
    target
        Its folder is made if it is not there.
    content
        All of it.
    mode
        Who may read it, as for `os.chmod`; as the umask says if not given.
    durable
        Whether it must survive a loss of power; what can be made again need not.

    Raises
    ------
    OSError
        If it cannot be written; what lay there is still there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=SCRATCH, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask() if mode is None else mode)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power, where the system knows how."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now

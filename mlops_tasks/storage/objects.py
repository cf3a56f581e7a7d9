"""What is kept in a store under the name of its content, and what counts as being there.

Guarantees, each held by a test: an object appears under its final name only when it is complete (a
full disk, a killed process or a broken upload leaves nothing that could be mistaken for it);
writing the same content twice is one object, and heals one that was damaged; `fetch` never returns
content that does not match its digest, and `is_intact` never vouches for any.

How content is told to be right: by its SHA-256, always. A remote object is read back for that; what
this process has read once is read again only when the store says that it changed.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import AlteredObject, StorageError
from mlops_tasks.storage.places import EXTRAS, is_local, place
from mlops_tasks.storage.transfer import download, state, upload

if TYPE_CHECKING:
    from upath import UPath

CHUNK_BYTES = 1 << 20
AGAIN = "make it again: `mlops train --fresh`"
INCOMING = "incoming"  # what a killed process has not finished stays here
ELSEWHERE = "free space or choose another place with `stack.store=<folder or URI>`"
REACHABLE = "see that the bucket is there and your credentials are for it: `mlops stack check`"
_proven: dict[tuple[str, str], str] = {}


def file_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of a local file, read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put(store: str, write: Callable[[Path], None], suffix: str) -> tuple[str, str, int]:
    """Let `write` fill a scratch file, then keep it under the name of its content.

    Parameters
    ----------
    store
        Folder URI, for example `/home/ada/.mlops/store` or `s3://bucket/store`.
    write
        Called with the path of a scratch file to fill.
    suffix
        File ending of the object, with the dot.

    Returns
    -------
    tuple of str, str, int
        URI, digest and size in bytes.

    Raises
    ------
    StorageError
        If the store cannot be written, for instance because the disk is full.
    """
    folder = place(store)
    try:
        with _scratch(folder, suffix) as scratch:
            write(scratch)
            digest, size = file_digest(scratch), scratch.stat().st_size
            target = folder / digest[:2] / f"{digest}{suffix}"
            _publish(scratch, target, digest)
    except OSError as error:
        raise _failed("written", folder, error, ELSEWHERE) from error
    return str(target), digest, size


@contextlib.contextmanager
def fetch(uri: str, digest: str) -> Iterator[Path]:
    """A local path to the object's verified content; remote objects are copied for the block.

    Raises
    ------
    StorageError
        If there is no such object.
    AlteredObject
        If its content does not have this digest.
    """
    with fetch_unverified(uri, digest) as (path, verify):
        verify()
        yield path


@contextlib.contextmanager
def fetch_unverified(uri: str, digest: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """As `fetch`, but the caller verifies, before anything that comes of the content is kept."""
    source = place(uri)
    with contextlib.ExitStack() as stack:
        try:
            if is_local(source):
                path = Path(source.path)
            else:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / source.name
                download(source, path)
        except OSError as error:
            raise _failed("read", source, error, AGAIN) from error
        yield path, lambda: _verify(uri, path, digest)


def _verify(uri: str, path: Path, digest: str) -> None:
    try:
        found = file_digest(path)
    except OSError as error:
        raise _failed("read", place(uri), error, AGAIN) from error
    if found != digest:
        raise AlteredObject(
            f"an object was altered: expected digest {digest[:12]}, found {found[:12]}",
            where=uri,
            next_step=AGAIN,
        )


def is_intact(uri: str, digest: str) -> bool:
    """Whether an object is there and has this digest.

    Raises
    ------
    StorageError
        If the store does not answer, so nobody can tell.
    """
    try:
        seen = _state(place(uri))
        if _proven.get((uri, digest)) != seen:
            with fetch(uri, digest):
                _proven[uri, digest] = seen
    except (FileNotFoundError, NotADirectoryError, AlteredObject):
        return False
    except OSError as error:
        raise _failed("read", place(uri), error, AGAIN) from error
    return True


def adopt(store: str, source: Path) -> tuple[str, str, int]:
    """Keep a copy of a local file in the store; as `put`."""
    return put(store, lambda scratch: _copy(source, scratch), source.suffix)


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copyfile(source, target)


@contextlib.contextmanager
def _scratch(folder: "UPath", suffix: str) -> Iterator[Path]:
    """A scratch file, in the store's own file system where that is local, so renaming is atomic."""
    where = None
    if is_local(folder):
        where = Path(folder.path) / INCOMING
        where.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=suffix, dir=where)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _publish(scratch: Path, target: "UPath", digest: str) -> None:
    if not is_local(target):
        upload(
            scratch, target
        )  # also over one that is there: cheaper than proving that it is whole
        return
    final = Path(target.path)
    if final.is_file() and file_digest(final) == digest:
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    with scratch.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(scratch, final)


def _state(path: "UPath") -> str:
    """Changes whenever the content may have."""
    if not is_local(path):
        return state(path)
    stat = Path(path.path).stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _failed(verb: str, path: "UPath", error: OSError, usual: str) -> StorageError:
    if isinstance(error.__cause__, ImportError):
        next_step = f'uv add "mlops-tasks[{EXTRAS.get(path.protocol, path.protocol)}]"'
    elif is_local(path) or (isinstance(error, FileNotFoundError) and usual == AGAIN):
        next_step = usual
    else:
        next_step = REACHABLE
    return StorageError(
        f"an object cannot be {verb}: {error.strerror or error}",
        where=str(path),
        next_step=next_step,
    )

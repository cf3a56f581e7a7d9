"""Objects named by the SHA-256 of their content, under any fsspec URI.

Guarantees: an object appears under its final name only when it is complete (a full disk or a killed
process leaves nothing that could be mistaken for it), writing the same content twice is one object,
and `fetch` never returns content that does not match its digest.

What the bytes mean is not known here: `data.frames` and `training.model_files` know.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import AlteredObject, StorageError

if TYPE_CHECKING:
    from upath import UPath

CHUNK_BYTES = 1 << 20


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
    from upath import UPath

    folder = UPath(store)
    try:
        with _scratch(folder, suffix) as scratch:
            write(scratch)
            digest, size = file_digest(scratch), scratch.stat().st_size
            target = folder / digest[:2] / f"{digest}{suffix}"
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _publish(scratch, target)
    except OSError as error:
        raise StorageError(
            f"an object cannot be written: {error.strerror or error}",
            where=str(store),
            next_step="free space or choose another place with `stack.store=<folder or URI>`",
        ) from error
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
    from upath import UPath

    source = UPath(uri)
    with contextlib.ExitStack() as stack:
        try:
            if _is_local(source):
                path = Path(source.path)
            else:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / source.name
                _download(source, path)
            found = file_digest(path)
        except OSError as error:
            raise StorageError(
                f"an object cannot be read: {error.strerror or error}",
                where=uri,
                next_step="make it again: `mlops train --fresh`",
            ) from error
        if found != digest:
            raise AlteredObject(
                f"an object was altered: expected digest {digest[:12]}, found {found[:12]}",
                where=uri,
                next_step="delete it and make it again: `mlops train --fresh`",
            )
        yield path


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
    if _is_local(folder):
        where = Path(folder.path) / "incoming"
        where.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=suffix, dir=where)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _publish(scratch: Path, target: "UPath") -> None:
    if _is_local(target):
        with scratch.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(scratch, target.path)
    else:
        with scratch.open("rb") as source, target.open("wb") as sink:
            while chunk := source.read(CHUNK_BYTES):
                sink.write(chunk)


def _download(source: "UPath", target: Path) -> None:
    with source.open("rb") as stream, target.open("wb") as sink:
        while chunk := stream.read(CHUNK_BYTES):
            sink.write(chunk)


def _is_local(path: "UPath") -> bool:
    return path.protocol in ("", "file", "local")

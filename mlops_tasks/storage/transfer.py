"""Bytes to and from places that are not this machine: whole or not at all, and patiently.

Guarantees, each held by a test: an upload that breaks off leaves nothing under the final name (a
file opened for writing would be completed by the exception that ends it, so none is opened); what
arrived with another size than was sent is an error; a server that is unwell is asked again, see
`patience`. Whatever a file system throws becomes an `OSError`.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.patience import patient
from mlops_tasks.storage.places import OBJECT_STORES

if TYPE_CHECKING:
    from upath import UPath


@patient
def upload(source: Path, target: "UPath") -> None:
    """Send a local file; what lay there is replaced.

    Raises
    ------
    OSError
        If it cannot be sent; what lay there is still there, or nothing.
    """
    with _os_errors():
        with _final(target) as path:
            target.fs.put_file(str(source), path)
        _check_size(target, source.stat().st_size)


@patient
def write(target: "UPath", content: bytes) -> None:
    """Send bytes; as `upload`."""
    with _os_errors():
        with _final(target) as path:
            target.fs.pipe_file(path, content)
        _check_size(target, len(content))


@patient
def download(source: "UPath", target: Path) -> None:
    """Fetch into a local file.

    Raises
    ------
    OSError
        If there is no such object, or it cannot be fetched.
    """
    with _os_errors():
        source.fs.get_file(source.path, str(target))


@patient
def read(source: "UPath") -> bytes:
    """Fetch bytes; as `download`."""
    with _os_errors():
        return bytes(source.fs.cat_file(source.path))


@patient
def entries(folder: "UPath") -> list["UPath"]:
    """What lies in a folder now; nothing where there is none."""
    with _os_errors():
        folder.fs.invalidate_cache()  # others write there as well
        try:
            return list(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


@patient
def state(path: "UPath") -> str:
    """What the store says of an object without sending it (size, time, ETag), as one word.

    Raises
    ------
    OSError
        If there is no such object.
    """
    with _os_errors():
        path.fs.invalidate_cache()
        return str(path.fs.ukey(path.path))


@contextlib.contextmanager
def _final(target: "UPath") -> Iterator[str]:
    """A path to write to whose content gets its final name by the end of the block."""
    if target.protocol in OBJECT_STORES:
        yield target.path
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.parent / f".{target.name}.part"
    yield scratch.path
    target.fs.mv(scratch.path, target.path)


def _check_size(target: "UPath", sent: int) -> None:
    target.fs.invalidate_cache()
    found = target.fs.info(target.path)["size"]
    if found != sent:
        raise OSError(f"{sent} bytes were sent, and {found} arrived")


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Clients of stores have errors of their own, for instance where there are no credentials."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise OSError(said) from error

"""Where earlier results lie, and which of them count.

On a stack whose store is not this machine, results lie in that store, so a run on another machine
finds them; otherwise under `MLOPS_HOME`. A storage block that the user named for Prefect comes
first.

Prefect takes a result that cannot be read for one that is not there, and makes it again. Guarantees
on that ground, each held by a test: a record counts only if its seal is right for what it says and
for this very step, it is nothing but typed JSON (one that asks to be unpickled is not), and every
object that it names is in the run's store with the digest that it says. So a deleted or altered
object, or an altered record, costs a repetition and is never trusted.

The seal is an HMAC under `MLOPS_RESULTS_KEY`. Without that variable it is no secret: it shows that
a record was altered, and not that somebody forged it who may write the store and knows how.
"""

import asyncio
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from prefect.blocks.core import Block
from prefect.filesystems import WritableFileSystem

from mlops_tasks.encoding import canonical, decode
from mlops_tasks.environment import home, results
from mlops_tasks.errors import AlteredObject
from mlops_tasks.governance.residency import entered
from mlops_tasks.settings.residency import is_within
from mlops_tasks.storage import is_intact
from mlops_tasks.storage.places import is_local, place
from mlops_tasks.storage.transfer import read, write
from mlops_tasks.storage.whole_files import write_whole

FOLDER = "results"
SERIALIZER = "artifact"
KEY = "MLOPS_RESULTS_KEY"
PLACES = ("uri", "model_uri")


class SharedResults(WritableFileSystem):
    """The results of a stack, vetted when they are read.

    Parameters
    ----------
    where
        Folder URI; empty: where the run that was entered keeps them, asked at each use. Pickled
        inside a run, it stays that run's.
    """

    where: str = ""
    store: str = ""

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        """A record of this name that counts.

        Raises
        ------
        ValueError, AlteredObject, OSError
            If there is none.
        """
        where, store = self._places()
        named = _named_block()
        if named is not None:
            content = bytes(named.read_path(path, _sync=True))
        else:
            target = place(self._resolve_path(path, where))
            content = Path(target.path).read_bytes() if is_local(target) else read(target)
        vet(content, path, store)
        return content

    async def aread_path(self, path: str) -> bytes:
        """As `read_path`."""
        return await asyncio.to_thread(self.read_path, path)

    def write_path(  # type: ignore[override]
        self, path: str, content: bytes, _sync: bool = True
    ) -> str:
        """Keep a record: whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        named, content = _named_block(), sealed(content, path)
        if named is not None:
            return str(named.write_path(path, content, _sync=True))
        target = place(self._resolve_path(path))
        if is_local(target):
            write_whole(Path(target.path), content, durable=False)
        else:
            write(target, content)
        return str(target)

    async def awrite_path(self, path: str, content: bytes) -> str:
        """As `write_path`."""
        return await asyncio.to_thread(self.write_path, path, content)

    def __reduce__(self) -> tuple[Any, ...]:
        where, store = self._places()
        return _at, (where, store) if entered() or self.where else ("", "")

    def _resolve_path(self, path: str, where: str = "") -> str:
        """The whole address of a record, by which others find it too."""
        where = where or self._places()[0]
        return path if is_within(path, where) else f"{where.rstrip('/')}/{path}"

    def _places(self) -> tuple[str, str]:
        """Where results lie, and the store that they may name; empty where no run was entered."""
        if self.where:
            return self.where, self.store
        settings = entered()
        here = str(results() or home() / FOLDER)
        if settings is None:
            return here, ""
        store = place(settings.stack.store)
        return (here if is_local(store) else str(store / FOLDER)), str(store)


def vet(content: bytes, path: str, store: str = "") -> None:
    """Refuse a record that does not count.

    Parameters
    ----------
    content
        As Prefect wrote it.
    path
        The name that it was found under.
    store
        Folder URI that all objects it names must be in; empty: anywhere.

    Raises
    ------
    ValueError
        If it is not a record of ours, or of another step.
    AlteredObject
        If an object that it names is not there as it was.
    StorageError
        If the store does not answer.
    """
    record = json.loads(content)
    if not isinstance(record, dict) or set(record) != {"metadata", "result", "seal"}:
        raise ValueError(f"{path} is not a record of a result")
    if not hmac.compare_digest(str(record["seal"]).encode(), _seal(record, path).encode()):
        raise ValueError(f"{path} was altered, or sealed under another key")
    metadata = record["metadata"]
    if metadata["serializer"] != {"type": SERIALIZER}:
        raise ValueError(f"{path} asks to be read by {str(metadata['serializer'])[:80]}")
    if PurePosixPath(metadata["storage_key"]).name != PurePosixPath(path).name:
        raise ValueError(f"{path} is the record of another step")
    for uri, digest in objects_in(decode(record["result"])):
        if (store and not is_within(uri, store)) or not is_intact(uri, digest):
            raise AlteredObject(
                "an earlier result names an object that is not in the store as it was",
                where=uri,
                next_step="nothing: the step is done again",
            )


def sealed(content: bytes, path: str) -> bytes:
    """A record as Prefect wrote it, with the seal for this name; Prefect itself passes over it."""
    record = json.loads(content)
    return canonical(record | {"seal": _seal(record, path)})


def _seal(record: Mapping[str, Any], path: str) -> str:
    said = canonical([PurePosixPath(path).name, record["metadata"], record["result"]])
    return hmac.new(os.environ.get(KEY, "").encode(), said, "sha256").hexdigest()


def objects_in(value: object) -> Iterator[tuple[str, str]]:
    """URI and digest of every object that an artifact names."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from objects_in(each)
    elif is_dataclass(value):
        for name in PLACES:
            if hasattr(value, name):
                yield getattr(value, name), getattr(value, "digest", "")
        for part in fields(value):
            yield from objects_in(getattr(value, part.name))


def _at(where: str, store: str) -> SharedResults:
    return SharedResults(where=where, store=store)


def _named_block() -> Any:
    name = os.environ.get("PREFECT_DEFAULT_RESULT_STORAGE_BLOCK")
    return _loaded(name) if name else None


@cache
def _loaded(name: str) -> Any:
    return Block.load(name, _sync=True)  # type: ignore[call-arg]

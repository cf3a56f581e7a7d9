"""What was started: one small file per home, replaced as a whole.

Guarantees: a reader sees the record before or after a change, never half of it; only its owner can
read the folder; no password is in it. Whether what it says is still true is `processes`' affair.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import FOLDER, KEY_FILE, RECORD, read_key, read_record
from mlops_tasks.storage.whole_files import write_whole

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Service:
    """A background process.

    `started` tells it from a later process with the same number, `since` is for people; `health` is
    a URL or the path of a socket.
    """

    name: str
    pid: int
    started: str
    since: str
    address: str
    health: str
    log: str


@dataclass(frozen=True, slots=True)
class Record:
    """The platform of one home.

    `database` is `sqlite`, `embedded` or a URL without a password; `ports` are kept from start to
    start; `clients` are variables that commands need whether the platform runs or not.
    """

    database: str = "sqlite"
    ports: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()

    def service(self, name: str) -> Service | None:
        """What was started under this name, if anything."""
        return next((each for each in self.services if each.name == name), None)

    def with_service(self, service: Service) -> "Record":
        """The record with a service added or replaced."""
        return replace(self.without(service.name), services=(*self._others(service.name), service))

    def without(self, name: str) -> "Record":
        """The record without a service."""
        return replace(self, services=self._others(name))

    def _others(self, name: str) -> tuple[Service, ...]:
        return tuple(each for each in self.services if each.name != name)


def folder_of(home: Path) -> Path:
    """The folder for record, key and logs, made readable by its owner only.

    Raises
    ------
    PlatformError
        If it cannot be made.
    """
    folder = home / FOLDER
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    return folder


def load(home: Path) -> Record | None:
    """The record of a home; None where there is none or it is spoilt."""
    found: dict[str, Any] = read_record(home)
    if found.pop("format", None) != FORMAT:
        return None
    try:
        services = tuple(Service(**each) for each in found.pop("services"))
        return Record(services=services, **found)
    except (TypeError, KeyError):
        return None


def save(home: Path, record: Record) -> None:
    """Replace the record.

    Raises
    ------
    PlatformError
        If it cannot be written; the old one is still there.
    """
    text = json.dumps({"format": FORMAT} | asdict(record), indent=2)
    _replace(folder_of(home) / RECORD, text)


def key_of(home: Path) -> str:
    """User name and password of the local Prefect server, made on first use.

    A worker runs what the server tells it: without a key, everybody on the machine could run code
    as its user.
    """
    if not (found := read_key(home)):
        found = f"mlops:{secrets.token_urlsafe(24)}"
        _replace(folder_of(home) / KEY_FILE, found)
    return found


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the file system refuses inside the block into a `PlatformError`."""
    try:
        yield
    except OSError as error:
        raise PlatformError(
            f"the platform's files cannot be written: {error.strerror or error}",
            where=str(place),
            next_step="make room there, or set MLOPS_HOME to a folder that you may write to",
        ) from error


def _replace(file: Path, text: str) -> None:
    with writing(file):
        write_whole(file, text.encode(), mode=0o600)

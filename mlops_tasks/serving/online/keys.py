"""API keys: who may ask a server for predictions, and who may look at its inside.

A key is `mlops_<name>_<secret>` with 256 random bits of secret; the file keeps its SHA-256 only,
which is enough for a secret that nobody can guess. Keys that sign models are `governance.keys`'.

Guarantees, each held by a test: the secret is shown once and lies nowhere; it is compared in
constant time; a key that was revoked is refused by a running server at once; a file that cannot be
read lets in nobody; a server that began without a file shuts as soon as there is one, for good.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mlops_tasks.errors import SettingsError, StorageError
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from filelock import BaseFileLock

Scope = Literal["predict", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
FILE = "serving_keys.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key."""

    name: str
    scopes: tuple[str, ...]
    sha256: str
    created: str


def key_file(stack: StackSettings) -> Path:
    """Where a stack's servers look for their keys."""
    return Path(stack.key_folder) / FILE


def create_key(file: Path, name: str, scopes: Iterable[str]) -> str:
    """Make a key and return it; it cannot be shown again.

    Parameters
    ----------
    file
        Where keys are kept; made on first use, readable by its owner alone.
    name
        Whose key it is: small letters, digits and `-`.
    scopes
        What it is good for.

    Raises
    ------
    SettingsError
        If the name or a scope is not allowed, or there is such a key already.
    StorageError
        If the file cannot be read or written.
    """
    wanted = tuple(scopes)
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name for a key", next_step="use small letters, digits and `-`"
        )
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown or not wanted:
        raise SettingsError(
            f"there is no scope {unknown[0]!r}" if unknown else "a key needs a scope",
            next_step=f"choose from {', '.join(SCOPES)}",
        )
    secret = secrets.token_urlsafe(32)
    with _locked(file):
        kept = {each.name: each for each in read_keys(file)}
        if name in kept:
            raise SettingsError(
                f"there is a key {name!r} already",
                where=str(file),
                next_step="revoke it first, or choose another name",
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept[name] = ApiKey(name, wanted, _hash(secret), now)
        _write(file, kept.values())
    return f"mlops_{name}_{secret}"


def revoke_key(file: Path, name: str) -> None:
    """Forget a key.

    Raises
    ------
    SettingsError
        If there is none of this name.
    StorageError
        If the file cannot be read or written.
    """
    with _locked(file):
        kept = {each.name: each for each in read_keys(file)}
        if kept.pop(name, None) is None:
            raise SettingsError(
                f"there is no key {name!r}",
                where=str(file),
                next_step=f"choose from {', '.join(kept) or 'none: there are no keys'}",
            )
        _write(file, kept.values())


def read_keys(file: Path) -> list[ApiKey]:
    """All keys of a file, none if there is no file.

    Raises
    ------
    StorageError
        If it is not such a file.
    """
    try:
        raw = json.loads(file.read_bytes())
        found = [ApiKey(**each | {"scopes": tuple(each["scopes"])}) for each in raw]
        if not all(_HASH.fullmatch(each.sha256) for each in found):
            raise ValueError("what is kept of a key is no hash")
        return found
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            "the file of API keys cannot be read",
            where=str(file),
            next_step="restore it, or delete it and make new keys",
        ) from error


class KeyRing:
    """The keys of a file, as they are now.

    Parameters
    ----------
    file
        Where they are kept.
    open_without
        Let in everybody until there is such a file.
    """

    def __init__(self, file: Path, *, open_without: bool = False) -> None:
        self._file = file
        self._open = open_without
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    @property
    def lets_in_everybody(self) -> bool:
        """Whether no key is needed: there has never been a file. Looks for it each time."""
        if self._open:
            try:
                self._file.lstat()
                self._open = False
            except FileNotFoundError:
                pass
            except OSError:  # there may be one
                self._open = False
        return self._open

    def holder(self, header: bytes) -> ApiKey | None:
        """Whose key an `Authorization` header holds, or None."""
        self._refresh()
        scheme, _, token = header.decode("latin-1").partition(" ")
        name, _, secret = token.strip().removeprefix("mlops_").partition("_")
        found = self._keys.get(name)
        # Hashed and compared also where there is no such name: the time tells nobody which exist.
        same = hmac.compare_digest(_hash(secret), found.sha256 if found else _NOBODY)
        return found if same and scheme.lower() == "bearer" else None

    def _refresh(self) -> None:
        try:
            facts = self._file.stat()
            stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            if stamp != self._stamp:
                self._keys = {each.name: each for each in read_keys(self._file)}
                self._stamp = stamp
        except (OSError, StorageError):
            self._keys, self._stamp = {}, None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _locked(file: Path) -> "BaseFileLock":
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return FileLock(f"{file}.lock", timeout=30)


def _write(file: Path, keys: Iterable[ApiKey]) -> None:
    handle, scratch = tempfile.mkstemp(dir=file.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "w") as stream:
            json.dump([asdict(each) for each in keys], stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(scratch, file)
    except OSError as error:
        Path(scratch).unlink(missing_ok=True)
        raise StorageError(
            f"the file of API keys cannot be written: {error.strerror or error}",
            where=str(file),
            next_step="set MLOPS_HOME to a folder that you may write to",
        ) from error

"""Which features are kept, and how: as they are, as keyed digests, or not at all.

Guarantees, each held by a test: a feature in `drop` is nowhere in the log, one in `hashed` only as
HMAC-SHA256 under a key of the stack, and neither in an error; a name that no model has is an error
before anything is written, because a typing mistake would be a leak. Equal values of one column
have equal digests, also in other processes; those of two columns differ.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tasks.errors import SettingsError, StorageError
from mlops_tasks.governance.keys import OWNER_ONLY
from mlops_tasks.settings.serving import LogSettings

KEY_FILE = "predictions.key"
KEY_BYTES = 32
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """How rows of one set of columns are kept; `places` is None where they are kept as they are."""

    names: tuple[str, ...]
    places: tuple[tuple[int, bytes], ...] | None
    key: bytes

    def of(self, rows: list[Row]) -> list[Row]:
        """The same rows as they may be written."""
        if self.places is None:
            return rows
        return [
            tuple(
                self._digest(label, row[place]) if label else row[place]
                for place, label in self.places
            )
            for row in rows
        ]

    def _digest(self, label: bytes, value: object) -> str | None:
        import msgspec

        if value is None:
            return None
        return hmac.digest(self.key, label + msgspec.json.encode(value), "sha256").hex()


class Privacy:
    """The policy of one log.

    Parameters
    ----------
    policy
        Its `drop` and `hashed` are names of features.
    key_folder
        Where the key of the digests is kept, made on first use.

    Raises
    ------
    StorageError
        If there is no key and none can be made.
    """

    def __init__(self, policy: LogSettings, key_folder: str) -> None:
        self._dropped = frozenset(policy.drop)
        self._hashed = frozenset(policy.hashed) - self._dropped
        self._known: set[str] = set()
        self._key = digest_key(Path(key_folder)) if self._hashed else b""

    def kept(self, names: Sequence[str]) -> Kept:
        """How rows with these columns are kept.

        A name counts as known if this model or one before it has it: a new version may do without.

        Raises
        ------
        SettingsError
            If the policy names a column that no model has had.
        """
        known = self._known | set(names)
        for where, named in (("drop", self._dropped), ("hashed", self._hashed)):
            if unknown := sorted(named - known):
                raise SettingsError(
                    f"the model has no feature {unknown[0]!r}, so nothing would keep it private",
                    where=f"serving.log.{where}",
                    next_step=f"take it out, or choose from {', '.join(sorted(known))}",
                )
        self._known = known
        if not (self._dropped | self._hashed) & set(names):
            return Kept(tuple(names), None, b"")
        places = tuple(
            (place, name.encode() + b"\0" if name in self._hashed else b"")
            for place, name in enumerate(names)
            if name not in self._dropped
        )
        return Kept(tuple(names[place] for place, _ in places), places, self._key)


def digest_key(folder: Path) -> bytes:
    """The key of the digests; several processes that need a new one end up with the same.

    Raises
    ------
    StorageError
        If it cannot be read or made.
    """
    from filelock import FileLock

    file = folder / KEY_FILE
    try:
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(f"{file}.lock"):
                if not file.exists():
                    _write_key(file)
        key = bytes.fromhex(file.read_text(encoding="ascii"))
        if len(key) != KEY_BYTES:
            raise ValueError("it has another length")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"the key of hashed features cannot be used: {getattr(error, 'strerror', '') or error}",
            where=str(file),
            next_step="restore it, or delete it: a new one will be made, with other digests",
        ) from error
    return key


def _write_key(file: Path) -> None:
    scratch = file.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(scratch, file)

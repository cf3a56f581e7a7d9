"""Which features are kept, and how: as they are, as keyed digests, or not at all.

Guarantees, each held by a test: a feature in `drop` is nowhere in the log, one in `hashed` only as
HMAC-SHA256 under a key of the stack, and neither in an error; a name that no model has is an error
before anything is written, because a typing mistake would be a leak. Equal values of one column
have equal digests, also in other processes; those of two columns differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tasks.errors import SettingsError
from mlops_tasks.governance.private_digests import digest_key, private_digest
from mlops_tasks.settings.serving import LogSettings

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """How rows of one set of columns are kept; `places` is None where they are kept as they are."""

    names: tuple[str, ...]
    places: tuple[tuple[int, str], ...] | None
    key: bytes

    def of(self, rows: list[Row]) -> list[Row]:
        """The same rows as they may be written."""
        if self.places is None:
            return rows
        return [
            tuple(
                private_digest(self.key, label, row[place]) if label else row[place]
                for place, label in self.places
            )
            for row in rows
        ]


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
            (place, name if name in self._hashed else "")
            for place, name in enumerate(names)
            if name not in self._dropped
        )
        return Kept(tuple(names[place] for place, _ in places), places, self._key)

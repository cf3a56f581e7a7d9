"""Where a model's log lies, and how a file gets there: complete or not at all.

Only files that the log wrote are ever listed: whatever else lies in the folder is left alone.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.environment import home
from mlops_tasks.settings.schema import StackSettings
from mlops_tasks.storage import places, transfer

if TYPE_CHECKING:
    from upath import UPath

LABELS = "labels"
JOURNAL = "journal"
DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
OURS = re.compile(r"\d{8}T\d{12}-[0-9a-f]{16}\.parquet")
DIGITS = 12
SCRATCH = ".part"  # ends the name of a file that is being written


@dataclass(frozen=True, slots=True)
class Place:
    """Where the log of one model lies: its folder, and the journals of this machine."""

    folder: "UPath"
    journal: Path

    def day(self, day: date, kind: str = "") -> "UPath":
        """The folder of a day: of predictions, or of what `kind` says."""
        root = self.folder / kind if kind else self.folder
        return root / f"day={day.isoformat()}"

    def days(self, kind: str = "") -> list[date]:
        """The days that have a folder, oldest first."""
        root = self.folder / kind if kind else self.folder
        found = []
        for entry in _entries(root):
            try:
                if match := DAY.fullmatch(entry.name):
                    found.append(date.fromisoformat(match[1]))
            except ValueError:  # a folder of somebody else's
                continue
        return sorted(found)

    def files(self, day: date, kind: str = "") -> list["UPath"]:
        """The log's own files of a day, by name: oldest first."""
        entries = _entries(self.day(day, kind))
        return sorted((e for e in entries if OURS.fullmatch(e.name)), key=lambda e: e.name)


def place_of(stack: StackSettings, model: str) -> Place:
    """Where a model's log lies."""
    folder = places.place(stack.predictions) / model
    if is_local(folder):
        return Place(folder, Path(folder.path) / JOURNAL)
    import hashlib

    name = hashlib.sha256(stack.predictions.encode()).hexdigest()[:DIGITS]
    return Place(folder, home() / JOURNAL / name / model)


def publish(target: "UPath", content: bytes) -> None:
    """Write a file that appears only when it is complete and, where it is local, on the disk.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left under its name.
    """
    if is_local(target):
        _publish_locally(Path(target.path), content)
    else:
        transfer.write(target, content)


def _publish_locally(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=SCRATCH, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
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


def is_local(path: "UPath") -> bool:
    """Whether it is a path of this machine."""
    return places.is_local(path)


def _entries(folder: "UPath") -> list["UPath"]:
    return transfer.entries(folder)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now

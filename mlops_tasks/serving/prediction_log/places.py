"""Where a model's log lies, and how a file gets there: complete or not at all.

Only files that the log wrote are ever listed: whatever else lies in the folder is left alone.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.environment import home
from mlops_tasks.settings.schema import StackSettings
from mlops_tasks.storage import transfer
from mlops_tasks.storage.objects import INCOMING
from mlops_tasks.storage.places import is_local, place
from mlops_tasks.storage.whole_files import write_whole

if TYPE_CHECKING:
    from upath import UPath

LABELS = "labels"
COPIES = "windows"
JOURNAL = "journal"
DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
OURS = re.compile(r"\d{8}T\d{12}-[0-9a-f]{16}\.parquet")
COPY = re.compile(rf"(?:[0-9a-f]{{2}}/[0-9a-f]{{64}}|{INCOMING}/\w+)\.parquet")
DIGITS = 12


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
        for entry in transfer.entries(root):
            try:
                if match := DAY.fullmatch(entry.name):
                    found.append(date.fromisoformat(match[1]))
            except ValueError:  # a folder of somebody else's
                continue
        return sorted(found)

    def files(self, day: date, kind: str = "") -> list["UPath"]:
        """The log's own files of a day, by name: oldest first."""
        entries = transfer.entries(self.day(day, kind))
        return sorted((e for e in entries if OURS.fullmatch(e.name)), key=lambda e: e.name)

    def copies(self, day: date) -> list["UPath"]:
        """Windows that begin on a day and whose rows were copied to be judged, or half copied."""
        folders = transfer.entries(self.day(day, COPIES))
        entries = (entry for folder in folders for entry in transfer.entries(folder))
        ours = (e for e in entries if COPY.fullmatch(f"{e.parent.name}/{e.name}"))
        return sorted(ours, key=lambda e: e.name)


def place_of(stack: StackSettings, model: str) -> Place:
    """Where a model's log lies."""
    folder = place(stack.predictions) / model
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
        write_whole(Path(target.path), content)
    else:
        transfer.write(target, content)

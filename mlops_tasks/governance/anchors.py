"""Where checkpoints are kept: a folder behind any fsspec URI, or notes of a git repository.

`git:<folder of a repository>` adds a note to the commit that is checked out; push them with
`git push origin refs/notes/mlops-ledger`. Anything else is a folder with one small file for each
checkpoint. An anchor protects as far as those who can write the database cannot write it.

Guarantee, held by a test: in a local folder a checkpoint appears complete or not at all, so that a
process killed on the way leaves nothing that an audit would take for a forgery.
"""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.checkpoints import Checkpoint, as_text, from_text
from mlops_tasks.governance.events import masked
from mlops_tasks.storage.places import is_local, place
from mlops_tasks.storage.whole_files import write_whole

if TYPE_CHECKING:
    from upath import UPath

GIT = "git:"
NOTES = "mlops-ledger"
GIT_SECONDS = 20
READABLE = 0o644  # an auditor may be somebody else


def write_anchor(anchor: str, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint.

    Raises
    ------
    LedgerError
        If the place cannot be written.
    """
    if anchor.startswith(GIT):
        _git(anchor, "notes", f"--ref={NOTES}", "append", "-m", as_text(checkpoint), "HEAD")
        return
    name = f"{checkpoint.length:012d}-{checkpoint.head[:12]}.json"
    try:
        folder = place(anchor)
        folder.mkdir(parents=True, exist_ok=True)
        if is_local(folder):
            write_whole(Path(folder.path) / name, as_text(checkpoint).encode(), mode=READABLE)
        else:  # a store of objects shows a new one when it is complete
            (folder / name).write_text(as_text(checkpoint), encoding="utf-8")
    except Exception as error:  # each kind of store has its own
        raise _unusable(anchor, error) from error


def read_anchor(anchor: str) -> tuple[list[Checkpoint], list[str]]:
    """All checkpoints, and the names of those that cannot be read.

    Raises
    ------
    LedgerError
        If the place cannot be read.
    """
    found, unreadable = [], []
    for name, text in _texts(anchor):
        try:
            found.append(from_text(text))
        except ValueError:
            unreadable.append(name if name.isprintable() else ascii(name))
    return found, unreadable


def _texts(anchor: str) -> list[tuple[str, str]]:
    """Names and contents; what is there and cannot be read has an empty one."""
    if anchor.startswith(GIT):
        notes = [line.split()[0] for line in _git(anchor, "notes", f"--ref={NOTES}").splitlines()]
        return [(note, line) for note in notes for line in _lines_of(anchor, note)]
    try:
        folder = place(anchor)
        if not folder.is_dir():
            return []
        files = sorted(folder.iterdir(), key=lambda each: each.name)
        return [(file.name, _content(file)) for file in files if file.name.endswith(".json")]
    except Exception as error:  # each kind of store has its own
        raise _unusable(anchor, error) from error


def _content(file: "UPath") -> str:
    try:
        if file.is_file():  # to open a pipe would wait for ever
            return file.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        pass
    return ""


def _lines_of(anchor: str, note: str) -> list[str]:
    try:
        text = _git(anchor, "cat-file", "blob", note)
    except LedgerError:
        return [""]
    return [line for line in text.splitlines() if line.strip()]


def _git(anchor: str, *words: str) -> str:
    folder = Path(anchor.removeprefix(GIT)).expanduser()
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _unusable(anchor, error) from error
    return done.stdout


def _unusable(anchor: str, error: Exception) -> LedgerError:
    said = getattr(error, "stderr", "") or getattr(error, "strerror", "") or error
    why = masked(anchor, str(said).strip()) or type(error).__name__
    return LedgerError(
        f"the anchor of the ledger cannot be used: {why}",
        where=masked(anchor),
        next_step="choose another with `stack.anchor=<folder, URI or git:folder>`",
    )

"""Where checkpoints are kept: a folder behind any fsspec URI, or notes of a git repository.

`git:<folder of a repository>` adds a note to the commit that is checked out; push them with
`git push origin refs/notes/mlops-ledger`. Anything else is a folder with one small file for each
checkpoint. An anchor protects as far as those who can write the database cannot write it.
"""

import subprocess
from pathlib import Path

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.checkpoints import Checkpoint, as_text, from_text

GIT = "git:"
NOTES = "mlops-ledger"
GIT_SECONDS = 20


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
    from upath import UPath

    folder = UPath(anchor)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{checkpoint.length:012d}-{checkpoint.head[:12]}.json"
        (folder / name).write_text(as_text(checkpoint), encoding="utf-8")
    except OSError as error:
        raise _unwritable(anchor, str(error.strerror or error)) from error


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
            unreadable.append(name)
    return found, unreadable


def _texts(anchor: str) -> list[tuple[str, str]]:
    if anchor.startswith(GIT):
        notes = [line.split()[0] for line in _git(anchor, "notes", f"--ref={NOTES}").splitlines()]
        lines = [(note, _git(anchor, "cat-file", "blob", note)) for note in notes]
        return [(note, line) for note, text in lines for line in text.splitlines() if line.strip()]
    from upath import UPath

    folder = UPath(anchor)
    try:
        if not folder.is_dir():
            return []
        return [
            (file.name, file.read_text(encoding="utf-8", errors="replace"))
            for file in sorted(folder.iterdir(), key=lambda each: each.name)
            if file.name.endswith(".json")
        ]
    except OSError as error:
        raise _unwritable(anchor, str(error.strerror or error)) from error


def _git(anchor: str, *words: str) -> str:
    folder = Path(anchor.removeprefix(GIT)).expanduser()
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise _unwritable(anchor, error.stderr.strip()) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise _unwritable(anchor, str(error)) from error
    return done.stdout


def _unwritable(anchor: str, why: str) -> LedgerError:
    return LedgerError(
        f"the anchor of the ledger cannot be used: {why}",
        where=anchor,
        next_step="choose another with `stack.anchor=<folder, URI or git:folder>`",
    )

"""A project as it was at a commit, in a temporary folder of its own that goes away again.

Guarantees: the user's own working tree, index and branches are not touched; the folder and git's
note of it are gone afterwards, whatever happened inside, Ctrl-C included.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlops_tasks.errors import ProjectError
from mlops_tasks.project.programs import git, undisturbed


def require_commit(root: Path, commit: str) -> None:
    """Check that a commit can be checked out here.

    Raises
    ------
    ProjectError
        If it is "none", or this repository does not have it.
    """
    if commit in ("", "none"):
        raise ProjectError(
            "the model was trained outside of git: there is no commit to go back to",
            where=str(root),
            next_step="`git init`, commit the project, and train again",
        )
    try:
        git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    except ProjectError as error:
        raise ProjectError(
            f"this repository does not have the commit {commit[:12]} that the model was trained at",
            where=str(root),
            next_step="`git fetch --all` (a shallow clone: `git fetch --unshallow`), or ask its "
            "author to push it",
        ) from error


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that only this user can read, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield folder
    finally:
        with undisturbed():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def checked_out(root: Path, commit: str, folder: Path) -> Iterator[Path]:
    """The project's folder inside a checkout of the commit; the repository may be larger.

    Raises
    ------
    ProjectError
        If git cannot check it out, or there was no project there at that commit.
    """
    inside = git(root, "rev-parse", "--show-prefix")
    try:
        git(root, "worktree", "add", "--quiet", "--detach", str(folder), commit)
        project = folder / inside
        if not (project / "pyproject.toml").is_file():
            raise ProjectError(
                "there was no project here at that commit",
                where=f"{inside or '.'} at {commit[:12]}",
                next_step="look at it with `git show`",
            )
        yield project
    finally:
        with undisturbed():
            with contextlib.suppress(ProjectError):  # it may not have been made
                git(root, "worktree", "remove", "--force", "--force", str(folder))
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(ProjectError):
                git(root, "worktree", "prune")

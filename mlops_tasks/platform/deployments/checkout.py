"""Code comes from the checkout that a flow lies in, not from where the worker once installed it.

A worker clones the project and runs the flow of that clone; the package that the flow refers to by
name would otherwise be that of the worker's virtual environment, which may be of another day.

Guarantee, held by a test: what is trained, and the digest of the code in its lineage, are those of
the commit that was cloned.
"""

import os
import sys
from pathlib import Path

from mlops_tasks.errors import ProjectError


def prefer(root: Path) -> None:
    """Let packages of a project be imported from this checkout, here and in child processes.

    Parameters
    ----------
    root
        The checkout; its packages are in `src`.

    Raises
    ------
    ProjectError
        If one of them was already imported from somewhere else.
    """
    sources = (root / "src").resolve()
    for package in sorted(sources.glob("*/__init__.py")):
        name = package.parent.name
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded and Path(loaded).resolve() != package:
            raise ProjectError(
                f"package {name!r} was imported from another place",
                where=loaded,
                next_step=f"start this flow in a process of its own, or import from {sources}",
            )
    if sys.path[:1] != [str(sources)]:
        sys.path.insert(0, str(sources))
    inherited = os.environ.get("PYTHONPATH", "")
    if inherited.partition(os.pathsep)[0] != str(sources):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(sources), inherited)))

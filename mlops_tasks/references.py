"""Code named by reference, `package.module:NAME`, and a digest of the package it lives in.

References are written in code (`flows.py`), never taken from configuration: a configuration file
must not be able to run code.
"""

import hashlib
import importlib
import importlib.util
from pathlib import Path
from typing import Any

from mlops_tasks.artifacts import Code
from mlops_tasks.errors import ProjectError


def code(reference: str) -> Code:
    """Name something by `package.module:NAME`, together with a digest of the package around it.

    Raises
    ------
    ProjectError
        If the package is not installed.
    """
    return Code(reference, source_digest(reference.partition(".")[0]))


def load(reference: str) -> Any:
    """Import `package.module` and return its attribute `NAME`.

    Raises
    ------
    ProjectError
        If there is no such module or attribute.
    """
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # a user's module may fail in any way while it is imported
        raise ProjectError(
            f"the code that is referred to cannot be loaded: {type(error).__name__}: {error}",
            where=reference,
            next_step=f"try `uv run python -c 'import {module}'`, and check the name in flows.py",
        ) from error


def source_digest(package: str) -> str:
    """SHA-256 over the names and contents of all Python files of a package.

    Raises
    ------
    ProjectError
        If the package cannot be found.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ProjectError(
            f"the package {package!r} is not installed", where=package, next_step="run `uv sync`"
        )
    total = hashlib.sha256()
    folder = Path(next(iter(spec.submodule_search_locations)))
    for file in sorted(folder.rglob("*.py")):
        total.update(file.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()

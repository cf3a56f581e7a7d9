"""Find the project around a folder, and import its flows.

A project is a folder whose pyproject.toml has `[tool.mlops] package = "…"`.
"""

import importlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tasks.errors import ProjectError


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project is, and the name of its package."""

    root: Path
    package: str

    def flow(self, name: str) -> Any:
        """A flow of the project's `flows.py`.

        Raises
        ------
        ProjectError
            If it cannot be imported or has no such flow.
        """
        sys.path.insert(0, str(self.root / "src"))
        module = f"{self.package}.flows"
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ProjectError(
                f"the project's flow {name!r} cannot be loaded: {error}",
                where=module,
                next_step="run `uv sync` in the project",
            ) from error


def locate(start: Path) -> Project:
    """The project that a folder is in.

    Raises
    ------
    ProjectError
        If neither it nor a folder above it is one.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(
                f"pyproject.toml cannot be read: {error}", where=str(file), next_step="correct it"
            ) from error
        package = settings.get("tool", {}).get("mlops", {}).get("package")
        if package:
            return Project(folder, package)
    raise ProjectError(
        "this is not a project",
        where=str(start.absolute()),
        next_step="change into a generated project, or start one: `cookiecutter <template>`",
    )

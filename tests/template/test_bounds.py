"""What is installed is bounded from above, here and in a project: by version, and by date.

A lock file is committed by whoever owns a project; until then, this is what makes two people's
environments the same.
"""

import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).parents[2]
OURS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CAPS = {"<", "<=", "==", "~="}
LIBRARY = "mlops-tasks"


def requirements(declared: dict[str, Any], groups: bool) -> Iterator[Requirement]:
    """Everything that is built with, or installed beside, a project."""
    project = declared["project"]
    lists = [declared["build-system"]["requires"], project["dependencies"]]
    lists += project.get("optional-dependencies", {}).values()
    lists += declared["dependency-groups"].values() if groups else []
    yield from (Requirement(each) for some in lists for each in some)


def unbounded(declared: dict[str, Any], *, groups: bool) -> list[str]:
    return [
        str(each)
        for each in requirements(declared, groups)
        if each.name != LIBRARY and not {part.operator for part in each.specifier} & CAPS
    ]


@pytest.fixture
def theirs(desk: "Desk") -> dict[str, Any]:
    return tomllib.loads((desk.make() / "pyproject.toml").read_text("utf-8"))


def test_every_dependency_of_the_library_has_an_upper_bound() -> None:
    assert len(list(requirements(OURS, groups=False))) > 40
    assert unbounded(OURS, groups=False) == []


def test_every_dependency_of_a_project_has_one_too(theirs: dict[str, Any]) -> None:
    assert unbounded(theirs, groups=True) == []
    assert LIBRARY in theirs["tool"]["uv"]["sources"], "the library itself is pinned to its source"


def test_one_without_a_bound_would_be_noticed() -> None:
    declared = OURS | {"build-system": {"requires": ["hatchling>=1.27", "numpy!=2.0", "uv<1"]}}
    assert unbounded(declared, groups=False) == ["hatchling>=1.27", "numpy!=2.0"]


def test_nothing_newer_than_a_day_is_installed(theirs: dict[str, Any]) -> None:
    days = {declared["tool"]["uv"]["exclude-newer"] for declared in (OURS, theirs)}
    (day,) = days
    assert datetime.fromisoformat(day).tzinfo is not None


def test_no_python_is_promised_that_is_not_tried(theirs: dict[str, Any]) -> None:
    for declared in (OURS, theirs):
        assert declared["project"]["requires-python"].endswith(",<3.14")

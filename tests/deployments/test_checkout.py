"""Packages come from the checkout that a flow lies in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import sys
from pathlib import Path
from mlops_tasks.platform.deployments.checkout import prefer
{before}
prefer(Path(sys.argv[1]))
import shop
print(shop.WHERE)
import subprocess
subprocess.run([sys.executable, "-c", "import shop; print(shop.WHERE)"], check=True)
"""


@pytest.fixture
def checkouts(tmp_path: Path) -> list[Path]:
    """Where the worker installed the package once, and where it was cloned to."""
    for name in ("installed", "cloned"):
        package = tmp_path / name / "src" / "shop"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"WHERE = {name!r}\n")
    return [tmp_path / "installed", tmp_path / "cloned"]


def look(installed: Path, cloned: Path, before: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LOOK.format(before=before), str(cloned)],
        env=os.environ | {"PYTHONPATH": str(installed / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_clone_comes_first_also_in_children(checkouts: list[Path]) -> None:
    done = look(*checkouts)
    assert done.stdout.split() == ["cloned", "cloned"], done.stderr


def test_twice_is_once(checkouts: list[Path]) -> None:
    again = "prefer(Path(sys.argv[1]))"
    done = look(*checkouts, before=again)
    assert done.stdout.split() == ["cloned", "cloned"], done.stderr


def test_what_was_imported_from_elsewhere_is_refused(checkouts: list[Path]) -> None:
    done = look(*checkouts, before="import shop")
    assert done.returncode == 1
    assert "was imported from another place" in done.stderr

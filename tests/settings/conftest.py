"""The configuration of a generated project, without the rest of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`conf/` as a generated project has it; hooks are another test's affair."""
    folder = tmp_path_factory.mktemp("rendered")
    template = folder / "template"
    inner = "{{cookiecutter.project_slug}}"
    shutil.copytree(REPO / inner / "conf", template / inner / "conf")
    shutil.copy(REPO / "cookiecutter.json", template)
    (folder / "user.yaml").write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(folder), str(template)]
    environment = os.environ | {"COOKIECUTTER_CONFIG": str(folder / "user.yaml")}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return folder / "flight-delay"


@pytest.fixture
def root(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may spoil."""
    monkeypatch.setenv("MLOPS_HOME", "/srv/mlops home")
    shutil.copytree(rendered, tmp_path / "project")
    return tmp_path / "project"

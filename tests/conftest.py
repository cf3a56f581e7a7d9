"""What the end-to-end tests share: one generated and installed project per worker."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings

from mlops_tasks.platform.prefect_server import prefect_server

settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")

REPO = Path(__file__).parents[1]
PARTS = ("cookiecutter.json", "hooks", "mlops_tasks", "pyproject.toml", "README.md", "LICENSE")
TEMPLATE = "{{cookiecutter.project_slug}}"


@dataclass(frozen=True)
class Generated:
    """A generated, installed project and the environment that its commands run in."""

    root: Path
    environment: dict[str, str]
    programs: Path

    def run(self, *words: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the project's virtual environment, in the project."""
        program = self.programs / words[0]
        command = [str(program) if program.exists() else words[0], *words[1:]]
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def with_home(self, home: Path) -> "Generated":
        """The same project with a state of its own."""
        return replace(self, environment=self.environment | {"MLOPS_HOME": str(home)})

    def copy(self, folder: Path) -> "Generated":
        """A copy that a test may spoil; it shares the virtual environment, but not the sources.

        Its home is its own, and its data remote still that of the original: its policy says so.
        """
        target = folder / self.root.name
        shutil.copytree(self.root, target, ignore=shutil.ignore_patterns(".venv", ".*_cache"))
        policy = target / "conf" / "policy" / "default.yaml"
        text, remote = policy.read_text(), f"{self.environment['MLOPS_HOME']}/dvc"
        assert "[$MLOPS_HOME]" in text
        policy.write_text(text.replace("[$MLOPS_HOME]", f"[$MLOPS_HOME, {remote}]"))
        source = str(target / "src")
        environment = self.environment | {
            "PYTHONPATH": source,
            "MLOPS_HOME": str(folder / "home"),
        }
        return Generated(target, environment, self.programs)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as a stranger would clone it, without caches and virtual environments."""
    folder = tmp_path_factory.mktemp("template")
    for name in (*PARTS, TEMPLATE):
        source = REPO / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect server for the end-to-end tests of this worker."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture(scope="session")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory, server: str) -> Generated:
    """The default project, generated with cookiecutter and installed with uv."""
    folder = tmp_path_factory.mktemp("generated")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "MLOPS_", "PYTEST_"))
        and name not in ("VIRTUAL_ENV", "DO_NOT_TRACK", "DVC_NO_ANALYTICS")
    }
    environment = kept | {
        "MLOPS_HOME": str(folder / "home"),
        "PREFECT_API_URL": server,
        "COLUMNS": "200",
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "COOKIECUTTER_CONFIG": str(folder / "none.yaml"),
    }
    (folder / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    (folder / "none.yaml").write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    run = {"check": True, "env": environment, "capture_output": True, "text": True}
    cookiecutter = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(folder)]
    subprocess.run([*cookiecutter, str(template)], **run)
    root = folder / "flight-delay"
    subprocess.run([sys.executable, "-m", "uv", "sync", "-q"], cwd=root, **run)
    return Generated(root, environment, root / ".venv" / "bin")


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

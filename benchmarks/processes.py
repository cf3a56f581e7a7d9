"""Fresh processes, timed from outside: wall seconds, and the CPU seconds of child and descendants.

Children see none of the caller's MLOPS_, PREFECT_, MLFLOW_ or ZENML_ variables, so that every
contender starts from the same ground; and they may keep byte code, as they do on a user's machine.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOREIGN = ("MLOPS_", "PREFECT_", "MLFLOW_", "ZENML_")
HINDERING = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
TIMEOUT_SECONDS = 900

ZENML = "zenml[local]==0.98.0"
# Everything that the work is done with, in the versions of this environment. ZenML 0.98 has older
# pydantic and SQLAlchemy; those two cannot be the same.
APART = {"fastapi", "prefect", "pydantic", "sqlalchemy"}
BENEATH = ("numpy", "pandas", "scipy")  # of no version in our own requirements; they do the work


class CouldNotRun(Exception):
    """A process ended with an exit code that was not expected; says how."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process from start to end."""

    seconds: float
    cpu_seconds: float
    output: str
    messages: str


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path = ROOT,
    expected: Collection[int] = (0,),
) -> Run:
    """Run a command and time it.

    Raises
    ------
    CouldNotRun
        If it cannot be started, does not end, or ends with another exit code.
    """
    before, started = _children_cpu(), time.perf_counter()
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=dict(clean() if environment is None else environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotRun(f"{command[0]}: {error}") from error
    seconds = time.perf_counter() - started
    if done.returncode not in expected:
        tail = " ".join((done.stderr or done.stdout).split())[-600:]
        raise CouldNotRun(f"{Path(command[0]).name} ended with {done.returncode}: {tail}")
    return Run(seconds, _children_cpu() - before, done.stdout, done.stderr)


def clean(**more: str) -> dict[str, str]:
    """The caller's environment without what would favour or hinder a contender."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and name not in HINDERING
    }
    return kept | more


def script(name: str) -> Path:
    """A console script of this environment."""
    return Path(shutil.which(name, path=str(Path(sys.executable).parent)) or name)


def zenml_python(folder: Path) -> Path:
    """The Python of an environment with ZenML and, without its dependencies, this library.

    Raises
    ------
    CouldNotRun
        If the environment cannot be made; the resolver's words are in the message.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or "uv"
        install = [uv, "pip", "install", "--quiet", "--python", python]
        run([uv, "venv", "--quiet", "--python", sys.executable, folder])
        run([*install, ZENML, *_shared()])
        run([*install, "--no-deps", "--editable", ROOT])
    return python


def _shared() -> list[str]:
    needed = [Requirement(text) for text in requires("mlops-tasks") or ()]
    names = {each.name for each in needed if each.marker is None} - APART
    return [f"{name}=={version(name)}" for name in sorted(names.union(BENEATH))]


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

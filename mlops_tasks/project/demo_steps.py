"""A step of the demo: a command that a person could type, shown, run, and held to its exit code."""

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape

from mlops_tasks.errors import PlatformError
from mlops_tasks.project.programs import uv
from mlops_tasks.project.words import console

TOLD = 1500  # characters of a failed step's output


def say(number: int, text: str) -> None:
    """Announce a step."""
    console.print(f"\n[bold cyan]{number}[/] {escape(text)}")


def mlops(project: Path, environment: Mapping[str, str], *words: str, expected: int = 0) -> None:
    """Run an `mlops` command of the project and show what it says.

    Raises
    ------
    PlatformError
        If it ends with another exit code than `expected`.
    """
    console.print(f"  [dim]$ uv run mlops {escape(' '.join(words))}[/]", highlight=False)
    command = [*uv(), "run", "--no-sync", "mlops", *words]
    run(command, project, environment, expected=expected, shown=True)


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    expected: int = 0,
    shown: bool = False,
    waiting: str = "",
) -> None:
    """Run a command; its output is shown, or kept for the error message.

    Raises
    ------
    PlatformError
        If it ends with another exit code than `expected`.
    """
    keep = None if shown else subprocess.PIPE
    started = time.perf_counter()
    with console.status(waiting) if waiting else contextlib.nullcontext():
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=keep,
            stderr=None if shown else subprocess.STDOUT,
            check=False,
            text=True,
        )
    if done.returncode != expected:
        raise PlatformError(
            f"a step ended with exit code {done.returncode}, expected {expected}"
            + (f": {done.stdout[-TOLD:]}" if done.stdout else ""),
            where=f"{' '.join(command)} (in {folder})",
            next_step="run that command there to see more",
        )
    if waiting:
        console.print(f"  [green]✓[/] {time.perf_counter() - started:.1f} s", highlight=False)

"""A step of the demo: a command that a person could type, shown, run, and held to its exit code.

Guarantee: while a step takes longer than a second, the screen says what is waited for. `mlops`
commands say it themselves.
"""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.markup import escape

from mlops_tasks.errors import PlatformError
from mlops_tasks.project.programs import uv
from mlops_tasks.project.words import console

TOLD = 1500  # characters of a failed step's output
LONG = 1.0  # seconds


def say(number: int, text: str) -> None:
    """Announce a step."""
    console.print(f"\n[bold cyan]{number}[/] {escape(text)}")


@contextlib.contextmanager
def in_progress(what: str) -> Iterator[None]:
    """Say what is waited for: a spinner on a terminal, elsewhere a line once it takes long."""
    if console.is_terminal:
        with console.status(what):
            yield
        return
    late = threading.Timer(LONG, console.print, [f"  … {escape(what)}"])
    late.start()
    try:
        yield
    finally:
        late.cancel()


def mlops(project: Path, environment: Mapping[str, str], *words: str, expected: int = 0) -> None:
    """Run an `mlops` command of the project and show what it says.

    Raises
    ------
    PlatformError
        If it ends with another exit code than `expected`.
    """
    console.print(f"  [dim]$ uv run mlops {escape(' '.join(words))}[/]", highlight=False)
    command = [*uv(), "run", "--no-sync", "mlops", *words]
    done = subprocess.run(command, cwd=project, env=dict(environment), check=False)
    _require(done.returncode, expected, command, project)


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, waiting: str
) -> None:
    """Run a command; its output is kept for the error message.

    Raises
    ------
    PlatformError
        If it fails.
    """
    started = time.perf_counter()
    with in_progress(waiting):
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
    _require(done.returncode, 0, command, folder, done.stdout)
    if (took := time.perf_counter() - started) > LONG:
        console.print(f"  [green]✓[/] {took:.1f} s", highlight=False)


def _require(
    code: int, expected: int, command: Sequence[str], folder: Path, said: str = ""
) -> None:
    if code != expected:
        raise PlatformError(
            f"a step ended with exit code {code}, expected {expected}"
            + (f": {said[-TOLD:]}" if said else ""),
            where=f"{' '.join(command)} (in {folder})",
            next_step="run that command there to see more",
        )

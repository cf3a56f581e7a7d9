"""Other programs, run so that they leave nothing behind: git, uv, and this library in a child.

Guarantees: a child and all that it started end with this process, also on Ctrl-C or SIGTERM; what a
failed one said last is in the error.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from mlops_tasks.errors import Interrupted, PlatformError, ProjectError

GIT_SECONDS = 300
GRACE_SECONDS = 20
WORDS = 4  # of a command, in an error
TOLD = 1500  # characters of a failed program's output
SENT_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def uv() -> list[str]:
    """The command that starts uv.

    Raises
    ------
    PlatformError
        If it is not installed.
    """
    if found := shutil.which("uv"):
        return [found]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    raise PlatformError(
        "uv is not installed", where="PATH", next_step="run `python -m pip install uv`"
    )


def git(folder: Path, *words: str) -> str:
    """What git prints; the user's hooks and the variables of a calling hook are kept out.

    Raises
    ------
    ProjectError
        If it fails or is not installed.
    """
    kept = {name: value for name, value in os.environ.items() if name not in SENT_ELSEWHERE}
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, env=kept, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip()
        raise ProjectError(
            f"git refuses: {said.splitlines()[-1] if said else 'no reason given'}",
            where=f"git {' '.join(words)} (in {folder})",
            next_step="run that command there to see more",
        ) from error
    return done.stdout.strip()


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    accepted: Sequence[int] = (0,),
) -> str:
    """Run a program to its end, and give back what it wrote to standard output.

    Raises
    ------
    PlatformError
        If it cannot be started, or ends with an exit code that is not accepted.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches it through us, and its children with it
        )
    except OSError as error:
        raise _failed(command, folder, str(error)) from error
    try:
        out, said = process.communicate()
    except BaseException:
        with undisturbed():
            _end(process)
        raise
    if process.returncode not in accepted:
        told = f"exit code {process.returncode}: {said.strip()[-TOLD:]}"
        raise _failed(command, folder, told)
    return out


@contextlib.contextmanager
def interruptible(what: str, next_step: str) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM inside the block into `Interrupted`, after it has cleaned up."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted", where=what, next_step=next_step) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Nobody interrupts the block: it cleans up."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: "subprocess.Popen[str]") -> None:
    """First politely, so that a training marks its run as killed; then with all its children."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=GRACE_SECONDS)
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _failed(command: Sequence[str], folder: Path, why: str) -> PlatformError:
    return PlatformError(
        f"a step failed: {why}",
        where=f"{' '.join(command[:WORDS])} (in {folder})",
        next_step="put right what it complains about, and run the same command again",
    )

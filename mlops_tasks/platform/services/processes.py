"""Background processes that outlive the command that starts them, and are ended by another.

Guarantees: a process is in a session of its own, so the terminal's end is not its end; `end`
signals the process that was started and those it started, never one that has its number by chance;
when it returns they are gone. What is started, and when it counts as ready, is the caller's affair.

Descendants are known by a variable of their environment, which they inherit: they are found also
when their parent was killed.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.local_platform import identity
from mlops_tasks.platform.services.record import Service, writing

if TYPE_CHECKING:
    import psutil

MARK = "MLOPS_SERVICE"
STOP_SECONDS = 20.0
PROBE_SECONDS = 5.0
POLL_SECONDS = 0.1
LARGEST_LOG = 5_000_000  # bytes; a larger one is put aside at the next start


def start(
    command: Sequence[str], environment: Mapping[str, str], *, mark: str, log: Path
) -> tuple[int, str]:
    """Start a process in the background.

    Parameters
    ----------
    command
        The program and its arguments; never a secret, everybody on the machine sees them.
    environment
        Its whole environment.
    mark
        What `end` finds it and its descendants by.
    log
        Where its output is added; its folder is where it runs.

    Returns
    -------
    tuple of int and str
        Its number, and its identity.
    """
    with writing(log):
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            os.replace(log, log.with_suffix(".log.1"))
        with log.open("ab") as stream:
            process = subprocess.Popen(
                list(command),
                env={**environment, MARK: mark},
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    process.returncode = 0  # it is not ours to wait for: no warning when we go before it
    return process.pid, identity(process.pid)


def answers(service: Service) -> bool:
    """Whether a service does its work: an HTTP status below 400, or a socket that accepts."""
    try:
        if service.health.startswith("http"):
            urllib.request.urlopen(service.health, timeout=PROBE_SECONDS).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(PROBE_SECONDS)
                probe.connect(service.health)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return True


def end(mark: str, *, seconds: float = STOP_SECONDS) -> None:
    """End everything that bears a mark: ask, wait, then kill."""
    import psutil

    # A process that is about to be gone has no environment any more, and so no mark.
    found: set[psutil.Process] = set()
    for number in (signal.SIGTERM, signal.SIGKILL):
        found.update(_marked(mark))
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            found.update(_marked(mark))
            if not any(map(_runs, found)):
                return
            time.sleep(POLL_SECONDS)


def end_one(
    pid: int, started: str, number: signal.Signals, *, seconds: float = STOP_SECONDS
) -> None:
    """Signal a process that bears no mark, wait for its end, and kill it if it does not come."""
    for each in (number, signal.SIGKILL):
        if identity(pid) != started:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, each)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if identity(pid) != started:
                return
            time.sleep(POLL_SECONDS)


def _runs(process: "psutil.Process") -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _marked(mark: str) -> "Iterator[psutil.Process]":
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) == mark:
                yield process

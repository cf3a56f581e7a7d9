"""A server process on this machine for as long as a block lasts.

Guarantee: the block begins when the server answers, and when the block ends, the process and its
children have ended too. What is started, and with which settings, is the caller's affair.
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

from mlops_tasks.errors import PlatformError

START_SECONDS = 180
STOP_SECONDS = 20


@contextlib.contextmanager
def local_server(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    health: str,
    log: Path,
    folder: Path | None = None,
) -> Iterator[None]:
    """Run a command until the block ends.

    Parameters
    ----------
    command
        The program and its arguments; never a secret, everybody on the machine sees them.
    environment
        Its whole environment.
    health
        A URL that answers once the server is ready.
    log
        Where its output goes.
    folder
        Where it runs; here if not given.

    Raises
    ------
    PlatformError
        If it has not answered after three minutes; the end of its log is in the message.
    """
    with log.open("wb") as stream:
        server = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(health, server, log)
            yield
        finally:
            _stop(server)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(health: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(health, timeout=2).close()
            return
        time.sleep(0.2)
    tail = log.read_text(encoding="utf-8", errors="replace")[-800:]
    raise PlatformError(
        f"the server does not start: …{tail}",
        where=health,
        next_step="read the whole log: " + str(log),
    )


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the process and whatever it started: they are a session of their own."""
    _signal(server, signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal(server, signal.SIGKILL)
        server.wait()


def _signal(server: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, number)

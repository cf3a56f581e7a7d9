"""A Prefect server on this machine for as long as a block lasts.

With one, a flow starts in about a second; without, each process starts an in-process server of its
own, which takes some fifteen. Servers that run for longer are not this module's affair.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from mlops_tasks.environment import defaults
from mlops_tasks.errors import PlatformError

START_SECONDS = 180
STOP_SECONDS = 20


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """Start a server with its database under `home`, and yield its API URL.

    The server binds to 127.0.0.1, on a free port, and ends with the block.

    Parameters
    ----------
    home
        Folder for the database, the result storage and the log.

    Raises
    ------
    PlatformError
        If it has not answered after three minutes; the end of its log is in the message.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        **defaults(),
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_UI_API_URL": url,
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    }
    environment.pop("PREFECT_API_URL", None)
    log = home / "server.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "prefect",
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(url, server, log)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            return
        time.sleep(0.2)
    tail = log.read_text(encoding="utf-8", errors="replace")[-800:]
    raise PlatformError(
        f"the Prefect server does not start: …{tail}",
        where=url,
        next_step="read the whole log: " + str(log),
    )

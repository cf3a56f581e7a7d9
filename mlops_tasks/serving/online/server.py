"""Run the app in this process, until it is told to stop; running requests are answered first."""

import os
import signal
import socket
import threading
from collections.abc import Callable

from mlops_tasks.errors import PlatformError
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.options import Options
from mlops_tasks.settings.schema import Settings

LAST_SECONDS = 15
KEEP_ALIVE_SECONDS = 30
WAITING_CONNECTIONS = 2048


def serve(
    settings: Settings,
    options: Options | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a project's champion; returns when the process is told to stop (SIGTERM).

    Parameters
    ----------
    settings, options
        As for `app.application`.
    host, port
        Where to listen; port 0 takes one that is free.
    listening
        Called with the address as soon as requests are taken, ready or not.

    Raises
    ------
    SettingsError
        If there are no keys and the stack is not local.
    PlatformError
        If nothing can listen there.
    StorageError
        If the prediction log cannot be opened.
    KeyboardInterrupt
        If somebody pressed Ctrl-C; running requests were answered before.
    """
    import uvicorn

    from mlops_tasks.serving.online.patience import PatientProtocol

    options = options or Options()
    app = application(settings, options)
    door = open_door(host, port)
    config = uvicorn.Config(
        app,
        backlog=WAITING_CONNECTIONS,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=options.max_connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            listening(_address(door))

    if threading.current_thread() is threading.main_thread():
        # uvicorn sends itself the signal once more after it has stopped.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        Announcing(config).run(sockets=[door])
    except SystemExit as error:
        raise app.failed or PlatformError(
            "the server does not start",
            where=_address(door),
            next_step="its log says why",
        ) from error
    finally:
        door.close()


def open_door(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything else is begun.

    Raises
    ------
    PlatformError
        If nothing can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named: without it, answers wait 40 ms.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # on Windows it would let two servers share a port
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.listen(WAITING_CONNECTIONS)
    except (OSError, OverflowError) as error:
        door.close()
        raise PlatformError(
            f"the server cannot listen: {getattr(error, 'strerror', None) or error}",
            where=f"{host}:{port}",
            next_step="choose another with `--port`, or stop what listens there",
        ) from error
    return door


def _address(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

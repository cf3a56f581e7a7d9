"""Which port of 127.0.0.1 a service gets: the one asked for, the one it had, or any free one.

Guarantee: a port that somebody listens on is not handed out. Between here and the service's own
`listen` another process may take it; the caller then sees the service end, and asks again.
"""

import socket

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.local_server import free_port

HOST = "127.0.0.1"


def choose(service: str, *, asked: int | None, had: int | None) -> int:
    """A port for a service.

    Parameters
    ----------
    service
        Whom it is for; only told in the error.
    asked
        The one that the user wants, if any.
    had
        The one that it had before, if any.

    Raises
    ------
    PlatformError
        If the port that is asked for is taken.
    """
    if asked is not None:
        if not is_free(asked):
            raise PlatformError(
                f"port {asked}, asked for {service}, is taken by another program",
                where=f"{HOST}:{asked}",
                next_step="end that program, or leave --port-base out: a free port is found",
            )
        return asked
    return had if had is not None and is_free(had) else free_port()


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of this machine now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True

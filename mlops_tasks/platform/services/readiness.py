"""When a service that was just started counts as ready, and what is said if it never does.

Guarantee: `wait` returns only if the very process that was started is alive and does its work; a
worker does its work once the Prefect server counts it as online.
"""

import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import lives
from mlops_tasks.platform.services.processes import PROBE_SECONDS, answers
from mlops_tasks.platform.services.programs import POOL
from mlops_tasks.platform.services.record import Service

START_SECONDS = 180.0
POLL_SECONDS = 0.2
TAIL = 800  # characters of a log that an error repeats


class Ended(PlatformError):
    """The process ended before it was ready: its port may have been taken meanwhile."""


def wait(
    service: Service,
    ready: Callable[[Service], bool] = answers,
    *,
    seconds: float = START_SECONDS,
) -> None:
    """Wait until a service is ready.

    Raises
    ------
    Ended
        If its process ends; the end of its log is in the message.
    PlatformError
        If it is not ready in time.
    """
    give_up = time.monotonic() + seconds
    while lives(service.pid, service.started):
        if ready(service) and lives(service.pid, service.started):
            return
        if time.monotonic() > give_up:
            raise PlatformError(
                f"{service.name} is not ready after {seconds:.0f} s: {_tail(service.log)}",
                where=service.address,
                next_step=f"read the whole log: mlops logs {service.name}",
            )
        time.sleep(POLL_SECONDS)
    raise Ended(
        f"{service.name} does not start: {_tail(service.log)}",
        where=service.address,
        next_step=f"read the whole log: mlops logs {service.name}",
    )


def is_online(api: str, key: str, worker: str) -> bool:
    """Whether a Prefect server counts a worker of the local pool as online.

    Parameters
    ----------
    api
        URL of the Prefect API.
    key
        User name and password, as `name:password`.
    worker
        The worker's name.
    """
    request = urllib.request.Request(
        f"{api}/work_pools/{POOL}/workers/filter",
        data=b"{}",
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Basic {b64encode(key.encode()).decode()}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer:
            known = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return any(each["name"] == worker and each["status"] == "ONLINE" for each in known)


def _tail(log: str) -> str:
    try:
        return "…" + Path(log).read_text(encoding="utf-8", errors="replace")[-TAIL:].strip()
    except OSError:
        return "it left no log"

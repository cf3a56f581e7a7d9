"""What a local platform that runs in the background tells the commands that come after it.

`mlops up` writes one file, the record; here it is read, cheaply, before anything heavy is imported.
Starting and stopping are the affair of `platform.services`.

Guarantees: a platform counts as running only if the recorded process is the one that was started (a
reused process number is somebody else's) and its port answers; an address that the user has set is
left alone; a record that cannot be read is no record; no clock is compared, so a wrong one does no
harm.
"""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

API = "PREFECT_API_URL"
KEY = "PREFECT_API_AUTH_STRING"
CONNECT_SECONDS = 0.2
FOLDER = "platform"
RECORD = "platform.json"
KEY_FILE = "key"
EMBEDDED = "embedded"  # PostgreSQL as a part of the platform
GONE = ("Z", "X", "x")  # dead, and not yet buried by its parent


@dataclass(frozen=True, slots=True)
class Found:
    """What to add to the environment, and one sentence if a platform should run and does not."""

    variables: Mapping[str, str]
    complaint: str = ""


def look(home: Path, environment: Mapping[str, str]) -> Found:
    """Read the record of a home, and ask whether the platform runs.

    Parameters
    ----------
    home
        `MLOPS_HOME`.
    environment
        The variables that are set already; those are left alone.

    Returns
    -------
    Found
        The Prefect API's address and key, if it runs. Where runs and the ledger lie in PostgreSQL,
        also their addresses, whether it runs or not: a second history in a file would be worse than
        an error.
    """
    record = read_record(home)
    kept = {
        name: str(value)
        for name, value in dict(record.get("clients") or {}).items()
        if not environment.get(name)
    }
    if environment.get(API):
        return Found(kept)
    server = _service(record, "prefect")
    if server is None:
        if not record.get("clients") or record.get("database") != EMBEDDED:
            return Found(kept)
        return Found(
            kept,
            "runs lie in the local platform's PostgreSQL, which is stopped: `mlops up`",
        )
    pid, started, address = int(server["pid"]), str(server["started"]), str(server["address"])
    if not lives(pid, started):
        what = f"the local platform's Prefect server (process {pid}) is gone"
    elif not listens(address):
        what = f"the local platform's Prefect server does not answer at {address}"
    else:
        key = read_key(home)
        return Found(kept | {API: f"{address}/api"} | ({KEY: key} if key else {}))
    return Found(kept, f"{what}; going on without it. `mlops up` repairs it")


def read_record(home: Path) -> dict[str, Any]:
    """The record as it lies; empty where there is none that can be read."""
    try:
        found = json.loads((home / FOLDER / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_key(home: Path) -> str:
    """The user name and password of the local Prefect server; empty where there are none."""
    try:
        return (home / FOLDER / KEY_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def identity(pid: int) -> str:
    """What tells a process from a later one with the same number; empty if there is none.

    On Linux the boot and the kernel's count of ticks since then: no clock that can be set.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return "" if os.path.exists("/proc/self/stat") else _identity_elsewhere(pid)
    return "" if fields[0] in GONE else f"{boot}:{fields[19]}"


def lives(pid: int, started: str) -> bool:
    """Whether this very process runs."""
    return bool(started) and identity(pid) == started


def listens(address: str) -> bool:
    """Whether somebody accepts connections at an address of this machine."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _identity_elsewhere(pid: int) -> str:
    import psutil

    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return "" if dead else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""


def _service(record: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    wanted = {"pid", "started", "address"}
    for each in record.get("services") or ():
        if isinstance(each, dict) and each.get("name") == name and wanted <= set(each):
            return each
    return None

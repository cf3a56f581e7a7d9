"""Bring the local platform up: start what is missing, leave alone what runs.

Guarantees: called twice, or by two at once, there is one platform; a service that was killed is
started again on the port it had, if that is free; if the start fails, what this call started is
ended; a running platform never changes its database.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import EMBEDDED, lives
from mlops_tasks.platform.services import database, embedded, programs
from mlops_tasks.platform.services.launching import Start, Tell, launch, mark_of, settle, take_back
from mlops_tasks.platform.services.locking import LOCK_SECONDS, alone
from mlops_tasks.platform.services.processes import end
from mlops_tasks.platform.services.readiness import is_online
from mlops_tasks.platform.services.record import Record, folder_of, key_of, load

ENOUGH = 200_000_000  # bytes; databases that cannot grow fail in the middle of a run
VERSIONED = ("mlops-tasks", "prefect", "mlflow")


def up(
    home: Path,
    *,
    choice: str | None = None,
    port_base: int | None = None,
    tell: Tell = lambda service, what: None,
) -> Record:
    """Start the platform of a home, or what is missing of it.

    Parameters
    ----------
    home
        `MLOPS_HOME`.
    choice
        `sqlite`, `embedded` or the URL of a PostgreSQL server; what it was before, if not given.
    port_base
        The Prefect server's port; MLflow and the worker get the next two. Free ones if not given.
    tell
        Called with a service and what happens to it.

    Raises
    ------
    PlatformError
        If something does not start, a port that is asked for is taken, there is no room, or the
        platform runs on another database.
    """
    folder = folder_of(home)
    _require_room(home)
    with alone(folder, lambda: tell("platform", "another command is at it: waiting")):
        before = load(home) or Record()
        chosen = database.require_usable(choice or before.database)
        if chosen != before.database and any(lives(s.pid, s.started) for s in before.services):
            raise PlatformError(
                f"the platform runs on another database: {before.database}",
                where=f"--database {chosen}",
                next_step="mlops down, then this command again; what lies there is not moved",
            )
        call = Start(home, replace(before, database=chosen), port_base, tell)
        try:
            _start_all(call)
        except BaseException:
            with contextlib.suppress(PlatformError):
                take_back(call, before)
            raise
        return call.record


def _start_all(call: Start) -> None:
    addresses, key, inherited = _addresses(call), key_of(call.home), dict(os.environ)
    versions = {name: version(name) for name in VERSIONED}
    call.keep(replace(call.record, versions=versions, clients=dict(addresses.clients)))
    prefect = partial(programs.prefect, addresses=addresses, key=key, inherited=inherited)
    mlflow = partial(programs.mlflow, addresses=addresses, home=call.home, inherited=inherited)
    before = call.record.service("prefect")
    with _alone_at_store(call):
        launch(call, "prefect", prefect)
        launch(call, "mlflow", mlflow)
        server = settle(call, "prefect", prefect)
        settle(call, "mlflow", mlflow)
    if before is not None and before.address != server.address:
        end(mark_of(call.home, "worker"))  # it would ask at the old address for ever
        call.keep(call.record.without("worker"))
    api = {"PREFECT_API_URL": f"{server.address}/api", "PREFECT_API_AUTH_STRING": key}
    name = f"mlops-{secrets.token_hex(3)}"  # a new one: the last may still be thought online
    worker = partial(programs.worker, name=name, api=api, inherited=inherited)
    launch(call, "worker", worker)
    settle(call, "worker", worker, partial(is_online, api["PREFECT_API_URL"], key, name))


def _addresses(call: Start) -> database.Addresses:
    """Where the state lies; the embedded server is started for that."""
    chosen = call.record.database
    if chosen == database.SQLITE:
        return database.sqlite(call.home)
    if chosen == EMBEDDED:
        ran = call.runs(embedded.NAME)
        service = embedded.start(call.home)
        if not ran:
            call.started.append(embedded.NAME)
            call.keep(call.record.with_service(service))
        call.tell(embedded.NAME, f"ready: {service.health}")
        chosen = service.address
    database.create(chosen)
    return database.postgres(chosen)


@contextlib.contextmanager
def _alone_at_store(call: Start) -> Iterator[None]:
    """Keep clients off MLflow's SQLite file while the server makes its tables."""
    from filelock import FileLock

    if call.record.database != database.SQLITE or call.runs("mlflow"):
        yield
        return
    with FileLock(f"{call.home / 'mlflow.db'}.lock", timeout=LOCK_SECONDS):
        yield


def _require_room(home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < ENOUGH:
        raise PlatformError(
            f"no room for the platform's databases: {free / 1e6:.0f} MB are free, "
            f"{ENOUGH / 1e6:.0f} MB are needed",
            where=str(home),
            next_step="make room there, or set MLOPS_HOME to another folder",
        )

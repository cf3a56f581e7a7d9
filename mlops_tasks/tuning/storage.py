"""Where studies are kept: in the database of the ledger, or in a file beside it.

On PostgreSQL they have a schema of their own, so that the tables of Optuna and MLflow do not meet
(both keep their version in `alembic_version`). Beside an SQLite ledger they are in `tuning.db`: the
ledger's file only ever grows.

Guarantees, each held by a test: processes that open a new database at once do not destroy each
other's tables; no two get the same trial; what a host held that was cut off comes free within a
minute.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tasks.errors import MlopsError, RegistryError
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.record import ledger_of, refuse_password
from mlops_tasks.governance.tables import bounded_waits, prepare_sessions
from mlops_tasks.patience import causes
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import Connection, Engine

SCHEMA = "tuning"
BUSY_SECONDS = 60
BEATS = 5  # signs of life in the time after which a process is taken for dead


def storage_url(stack: StackSettings) -> str:
    """The SQLAlchemy address of the database of studies."""
    from sqlalchemy import make_url

    url = make_url(stack.ledger)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).with_name("tuning.db")))
    return url.render_as_string(hide_password=False)


def open_storage(stack: StackSettings, grace_seconds: int) -> "RDBStorage":
    """Optuna's storage, with its tables, where trials give signs of life.

    Raises
    ------
    RegistryError
        If the database does not answer.
    LedgerError
        If its address carries a password.
    """
    from optuna.storages import RDBStorage

    refuse_password(stack.ledger)
    address = storage_url(stack)
    with answering(), lease(ledger_of(stack), "tuning:tables"):
        storage = RDBStorage(
            address,
            engine_kwargs=_engine(address),
            heartbeat_interval=max(1, grace_seconds // BEATS),
            grace_period=grace_seconds,
        )
    if address.startswith("sqlite"):
        _lock_before_reading(storage.engine)
    prepare_sessions(storage.engine)
    storage.engine.dispose()  # connections that were made before
    return storage


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Errors of the database inside the block become one that says what to do.

    Raises
    ------
    RegistryError
        If it does not answer.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlopsError:
        raise
    except Exception as error:
        # Optuna trips over some of them and raises its own.
        found = next((each for each in causes(error) if isinstance(each, SQLAlchemyError)), None)
        if found is None:
            raise
        raise RegistryError(
            f"the database of studies does not answer: {str(found).splitlines()[0]}",
            where="stack.ledger",
            next_step="see that it runs and is reached from here, and run this again: the study "
            "goes on where it was",
        ) from error


def _lock_before_reading(engine: "Engine") -> None:
    """Where Optuna says FOR UPDATE, SQLite would let two processes read that a trial waits."""
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _own(connection: Any, record: object) -> None:
        connection.isolation_level = None  # the driver would begin at the first write

    @event.listens_for(engine, "begin")
    def _begin(connection: "Connection") -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _engine(address: str) -> dict[str, Any]:
    if address.startswith("sqlite"):
        return {"connect_args": {"timeout": BUSY_SECONDS}}
    from sqlalchemy import create_engine, make_url

    waits = bounded_waits(make_url(address))
    engine = create_engine(address, connect_args=waits)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    engine.dispose()
    own = {"options": f"-csearch_path={SCHEMA}"}
    return {"connect_args": waits | own, "pool_pre_ping": True}

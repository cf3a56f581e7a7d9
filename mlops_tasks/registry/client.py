"""The one way to MLflow: a client that is known to work, or one clear error.

A server that is not there is reported within seconds; one that is unwell is given time, see
`endurance`.

Guarantee: several processes may meet a new SQLite store at once; one creates the tables while the
others wait (without the lock they destroy each other's migration).
"""

import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.doors import is_server
from mlops_tasks.errors import RegistryError
from mlops_tasks.patience import may_pass, patient
from mlops_tasks.registry.closed import require_closed, require_keepable
from mlops_tasks.registry.endurance import enduring
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
PROBE_SECONDS = 5
LOCK_SECONDS = 180


def reach(stack: StackSettings) -> None:
    """Ask a tracking server whether it is there; costs nothing where tracking is a local file.

    On a stack that is not local it must also keep strangers out, see `closed`.

    Raises
    ------
    RegistryError
        If it does not answer, lets in anybody, or there are no credentials for it.
    """
    require_keepable(stack)
    if not is_server(stack.tracking_uri):
        return
    try:
        _ask(stack.tracking_uri.rstrip("/") + "/health")
        patient(require_closed)(stack)
    except (OSError, ValueError) as error:
        raise _unreachable(stack, error) from error


@patient
def _ask(address: str) -> None:
    """Be content with any answer but that the server is unwell."""
    try:
        urllib.request.urlopen(address, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as answer:
        with answer:
            if may_pass(answer):
                raise


def connect(stack: StackSettings) -> "MlflowClient":
    """A client for the stack's tracking store and registry, creating a local store if need be.

    Raises
    ------
    RegistryError
        If the store cannot be created, the server does not answer, or the stack is not local and
        lets in anybody.
    """
    reach(stack)
    from filelock import FileLock, Timeout
    from mlflow import MlflowClient

    with talking(stack):
        if not stack.tracking_uri.startswith(SQLITE):
            if not is_server(stack.tracking_uri):
                _keep_to_ourselves()
            made = patient(MlflowClient)(stack.tracking_uri, registry_uri=stack.tracking_uri)
            return enduring(made)
        database = Path(stack.tracking_uri.removeprefix(SQLITE))
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{database}.lock", timeout=LOCK_SECONDS), silent():
                client = MlflowClient(stack.tracking_uri, registry_uri=stack.tracking_uri)
                client.search_experiments(max_results=1)  # the tables are made on first use
                client.search_registered_models(max_results=1)
        except (OSError, Timeout) as error:
            raise RegistryError(
                f"the tracking store cannot be opened: {error}",
                where=stack.tracking_uri,
                next_step="set MLOPS_HOME to a folder that you may write to",
            ) from error
        return enduring(client)


@patient
def experiment(client: "MlflowClient", stack: StackSettings, project: str) -> str:
    """The id of the project's experiment, created on first use."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(project)
    if found is None:
        try:
            root = f"{stack.artifact_root.rstrip('/')}/{project}"
            return str(client.create_experiment(project, artifact_location=root))
        except MlflowException:
            found = client.get_experiment_by_name(project)  # another process was first
            if found is None:
                raise
    return str(found.experiment_id)


@contextlib.contextmanager
def talking(stack: StackSettings) -> Iterator[None]:
    """Turn whatever MLflow throws inside the block into a `RegistryError`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, _of_mlflow()):
            raise _unreachable(stack, error) from error
        if isinstance(error, _of_stores()):
            raise RegistryError(
                f"the artifact store refuses or does not answer: {_sentence(error)}",
                where=stack.artifact_root,
                next_step="see that the bucket is there and your credentials are for it: "
                "`mlops stack check`",
            ) from error
        if isinstance(error, ImportError) and error.name == "boto3":
            raise RegistryError(
                "the client for artifacts on S3 is not installed",
                where=stack.artifact_root,
                next_step='uv add "mlops-tasks[s3]"',
            ) from error
        raise


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep MLflow's chatter about migrations and conda files off the user's screen."""
    import logging

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _keep_to_ourselves() -> None:
    """MLflow logs with a traceback what it throws as well, at each attempt."""
    import logging

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _of_mlflow() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests import RequestException  # how a server refuses the files it keeps
    from sqlalchemy.exc import SQLAlchemyError  # how a database is not there at all

    return MlflowException, RequestException, SQLAlchemyError


def _of_stores() -> tuple[type[Exception], ...]:
    """What boto3 throws, if MLflow has loaded it to reach artifacts that no server keeps for it."""
    kinds = (
        ("boto3.exceptions", "Boto3Error"),
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
    )
    return tuple(getattr(sys.modules[room], name) for room, name in kinds if room in sys.modules)


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _unreachable(stack: StackSettings, error: Exception) -> RegistryError:
    return RegistryError(
        f"the tracking store refuses or does not answer: {_sentence(error)}",
        where=stack.tracking_uri,
        next_step="start it, or choose another with `stack.tracking_uri=…`",
    )

"""Model versions and their aliases in MLflow, nothing more: what they mean is said elsewhere.

Aliases: `challenger` was let through by the gate and waits, `champion` answers, `previous` is the
one before it. Everything here can be repeated: a run is registered once, an alias that already
stands is left alone.

Guarantee, held by a test: a version that names a run and points at files elsewhere, which whoever
may create versions can make, is not taken for that run's.
"""

from typing import TYPE_CHECKING

from mlops_tasks.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
PREVIOUS = "previous"
CHALLENGER = "challenger"
DIGEST_TAG = "mlops.candidate_digest"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def by_alias(client: "MlflowClient", model: str, alias: str) -> "ModelVersion | None":
    """The version behind an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model, alias)
    except MlflowException as error:
        if error.error_code in _NOT_THERE:
            return None
        raise


def number_of(version: "ModelVersion | None") -> int | None:
    """The version as a number."""
    return None if version is None else int(version.version)


def by_number(client: "MlflowClient", model: str, number: int) -> "ModelVersion":
    """A version by its number.

    Raises
    ------
    RegistryError
        If there is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(model, str(number))
    except MlflowException as error:
        if error.error_code in _NOT_THERE:
            raise RegistryError(
                f"there is no version {number}",
                where=model,
                next_step="`mlops history` and `mlops compare` show what there is",
            ) from error
        raise


def set_alias(client: "MlflowClient", model: str, alias: str, version: int | None) -> None:
    """Let an alias stand at a version, or nowhere."""
    current = number_of(by_alias(client, model, alias))
    if current == version:
        return
    if version is None:
        client.delete_registered_model_alias(model, alias)
    else:
        client.set_registered_model_alias(model, alias, str(version))


def create_version(client: "MlflowClient", model: str, run_id: str, tags: dict[str, str]) -> int:
    """The version of a finished run, made if there is none yet.

    The same call with another model's name moves a run's artifact to another stage, by reference.
    """
    _ensure_model(client, model)
    source = package_of(client, run_id)
    for version in client.search_model_versions(f"name='{model}' and run_id='{run_id}'"):
        if version.source == source:
            return int(version.version)
    return int(client.create_model_version(model, source, run_id=run_id, tags=tags).version)


def package_of(client: "MlflowClient", run_id: str) -> str:
    """Where the model of a run lies; what MLflow loads for a version is what its `source` says."""
    return f"{client.get_run(run_id).info.artifact_uri}/package/model"


def _ensure_model(client: "MlflowClient", model: str) -> None:
    """Make the registered model if it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise

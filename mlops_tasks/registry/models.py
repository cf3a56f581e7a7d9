"""Model versions and their aliases: who is champion, and letting a recorded run in.

Aliases: `champion` answers in production, `previous` is the one before it. Everything here can be
repeated: the same run is registered once, an alias that already stands is left alone.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Candidate, Champion, decode
from mlops_tasks.errors import AlteredObject, RegistryError
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.settings.schema import StackSettings
from mlops_tasks.storage import adopt

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
PREVIOUS = "previous"
MODEL_FILE = "model/model.skops"
CANDIDATE_FILE = "candidate.json"
DIGEST_TAG = "mlops.candidate_digest"


def current_champion(stack: StackSettings, model: str) -> Champion | None:
    """The version that holds the alias, its model file fetched into the store and verified.

    Raises
    ------
    RegistryError
        If the registry does not answer or its record cannot be read.
    AlteredObject
        If the registered file is not the one that was let in.
    """
    client = connect(stack)
    with talking(stack):
        version = by_alias(client, model, CHAMPION)
        if version is None:
            return None
        return Champion(int(version.version), str(version.run_id), _fetch(client, stack, version))


def by_alias(client: "MlflowClient", model: str, alias: str) -> "ModelVersion | None":
    """The version behind an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def version_of_run(client: "MlflowClient", model: str, run_id: str) -> int | None:
    """The version that was registered from a run, or None."""
    found = client.search_model_versions(f"name='{model}' and run_id='{run_id}'")
    return int(found[0].version) if found else None


def let_in(client: "MlflowClient", model: str, run_id: str, tags: dict[str, str]) -> int:
    """Register a finished run and make it champion; what is already done is not done again."""
    version = version_of_run(client, model, run_id)
    if version is None:
        _ensure_model(client, model)
        source = f"{client.get_run(run_id).info.artifact_uri}/model"
        created = client.create_model_version(model, source, run_id=run_id, tags=tags)
        version = int(created.version)
    incumbent = by_alias(client, model, CHAMPION)
    if incumbent is None or int(incumbent.version) != version:
        if incumbent is not None:
            client.set_registered_model_alias(model, PREVIOUS, str(incumbent.version))
        client.set_registered_model_alias(model, CHAMPION, str(version))
    return version


def _ensure_model(client: "MlflowClient", model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _fetch(client: "MlflowClient", stack: StackSettings, version: "ModelVersion") -> Candidate:
    run_id = str(version.run_id)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(client.download_artifacts(run_id, CANDIDATE_FILE, folder))
        try:
            candidate: Candidate = decode(record.read_bytes())
        except (ValueError, KeyError) as error:
            raise RegistryError(
                "the record of the champion cannot be read",
                where=f"{version.name} version {version.version}, run {run_id}",
                next_step="give the alias to another version in the MLflow UI",
            ) from error
        if version.tags.get(DIGEST_TAG) != candidate.digest:
            raise _altered(version, "its record does not match the digest it was let in with")
        file = Path(client.download_artifacts(run_id, MODEL_FILE, folder))
        uri, digest, size = adopt(stack.store, file)
    if digest != candidate.digest:
        raise _altered(version, "its file is not the one that was let in")
    return replace(candidate, model_uri=uri, size_bytes=size)


def _altered(version: "ModelVersion", why: str) -> AlteredObject:
    return AlteredObject(
        f"the champion is not used: {why}",
        where=f"{version.name} version {version.version}",
        next_step="give the alias back to a version that you trust, in the MLflow UI",
    )

"""An MLflow client that waits out an outage, and does nothing twice on the way.

MLflow's own retries send whatever failed once more, also what makes something: a request that was
carried out, and whose answer was lost, would be carried out again. So they are switched off (see
`environment.defaults`), and each call is repeated here in the way that fits it.

Guarantees, each held by a test: while the server answers 5xx or nothing, calls are tried again, see
`patience`; a run or a version that was made although its answer was lost is found and not made
again; a server that is not there is reported at once.
"""

import uuid
from typing import TYPE_CHECKING, Any

from mlops_tasks.patience import patient

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

# Done twice, these come to the same as done once.
REPEATABLE = (
    "create_registered_model",  # the second time it says that there is one
    "delete_registered_model_alias",
    "download_artifacts",
    "get_experiment",
    "get_experiment_by_name",
    "get_model_version",
    "get_model_version_by_alias",
    "get_registered_model",
    "get_run",
    "list_artifacts",
    "log_artifact",
    "log_artifacts",
    "log_batch",
    "log_param",
    "search_experiments",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_model_version_tag",
    "set_registered_model_alias",
    "set_registered_model_tag",
    "set_tag",
    "set_terminated",
)
ATTEMPT_TAG = "mlops.attempt"


def enduring(client: "MlflowClient") -> "MlflowClient":
    """The same client; its calls are tried again while the server is unwell."""
    for name in REPEATABLE:
        setattr(client, name, patient(getattr(client, name)))
    for name, once in {"create_run": _run_once, "create_model_version": _version_once}.items():
        setattr(client, name, once(client, getattr(client, name)))
    return client


def _run_once(client: "MlflowClient", create: Any) -> Any:
    def create_run(
        experiment_id: str, *words: Any, tags: dict[str, str] | None = None, **named: Any
    ) -> "Run":
        mine: dict[str, str] = {ATTEMPT_TAG: uuid.uuid4().hex}
        tried: list[bool] = []

        @patient
        def attempt() -> "Run":
            if tried:
                query = f"tags.`{ATTEMPT_TAG}` = '{mine[ATTEMPT_TAG]}'"
                for found in client.search_runs([experiment_id], query, max_results=1):
                    return found
            tried.append(True)
            return create(experiment_id, *words, tags=(tags or {}) | mine, **named)

        return attempt()

    return create_run


def _version_once(client: "MlflowClient", create: Any) -> Any:
    def create_model_version(
        name: str, source: str, run_id: str | None = None, **named: Any
    ) -> "ModelVersion":
        tried: list[bool] = []

        @patient
        def attempt() -> "ModelVersion":
            if tried:
                query = f"name='{name}' and run_id='{run_id}'"
                for found in client.search_model_versions(query):
                    if found.source == source:
                        return found
            tried.append(True)
            return create(name, source, run_id=run_id, **named)

        return attempt()

    return create_model_version

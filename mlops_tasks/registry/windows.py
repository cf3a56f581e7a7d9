"""The judged windows of a model as MLflow runs: figures, page, and what they were of.

Guarantee: a window has one run, however often it is written.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_tasks.registry.client import connect, experiment, talking
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

WINDOW_TAG = "mlops.window"
VERSION_TAG = "mlops.version"
END_TAG = "mlops.window_end"
LABELS_TAG = "mlops.labels"


@dataclass(frozen=True, slots=True)
class WindowRun:
    """A window as it was recorded. `metrics` has what was measured then, `labels` names those."""

    run_id: str
    window: str
    end: str
    version: str
    metrics: dict[str, float]
    artifact_uri: str
    labels: str = ""


def log_window(
    settings: Settings,
    *,
    window: str,
    end: str,
    version: int,
    metrics: Mapping[str, float],
    files: Mapping[str, bytes],
    tags: Mapping[str, str],
) -> WindowRun:
    """Record a window, or write its record again.

    Parameters
    ----------
    settings
        Name the project and the tracking store.
    window, end, version
        Its name, its end (ISO, UTC), and the version whose traffic it was.
    metrics
        Finite figures by name.
    files
        Content by name, for example `report.html`.
    tags
        More about it.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    """
    from mlflow.entities import Metric, RunTag

    stack, client = settings.stack, connect(settings.stack)
    names = {WINDOW_TAG: window, VERSION_TAG: str(version), END_TAG: end, **tags}
    with talking(stack), tempfile.TemporaryDirectory() as folder:
        place = experiment(client, stack, _experiment(settings))
        run = _run_of(client, place, window, version)
        if run is None:
            run = client.create_run(
                place, run_name=f"{settings.registered_model} {end}", tags=names
            )
        now = int(time.time() * 1000)
        found = [Metric(name, value, now, 0) for name, value in metrics.items()]
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(run.info.run_id, folder)
        # Last: tags say what the figures and the page are of.
        said = [RunTag(name, text) for name, text in names.items()]
        client.log_batch(run.info.run_id, metrics=found, tags=said)
        client.set_terminated(run.info.run_id, "FINISHED")
        return _recorded(client.get_run(run.info.run_id))


def recent_windows(settings: Settings, limit: int = 50) -> list[WindowRun]:
    """The latest windows of the project's stage, oldest first."""
    client = connect(settings.stack)
    with talking(settings.stack):
        place = client.get_experiment_by_name(_experiment(settings))
        if place is None:
            return []
        runs = client.search_runs(
            [place.experiment_id],
            f"tags.`mlops.model` = '{settings.registered_model}'",
            order_by=[f"tags.`{END_TAG}` DESC"],
            max_results=limit,
        )
        return [_recorded(each) for each in reversed(runs)]


def _experiment(settings: Settings) -> str:
    return f"{settings.project}-monitoring"


def _run_of(client: "MlflowClient", place: str, window: str, version: int) -> "Run | None":
    wanted = f"tags.`{WINDOW_TAG}` = '{window}' and tags.`{VERSION_TAG}` = '{version}'"
    found = client.search_runs([place], wanted, max_results=1)
    return found[0] if found else None


def _recorded(run: "Run") -> WindowRun:
    tags = run.data.tags
    return WindowRun(
        run.info.run_id,
        tags.get(WINDOW_TAG, ""),
        tags.get(END_TAG, ""),
        tags.get(VERSION_TAG, ""),
        dict(run.data.metrics),
        str(run.info.artifact_uri),
        tags.get(LABELS_TAG, ""),
    )

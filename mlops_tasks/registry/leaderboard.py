"""The runs of a project side by side, best first: what `mlops compare` shows."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Interval
from mlops_tasks.evaluation.comparison_page import ComparedRun
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow.entities import Run


def leaderboard(settings: Settings, limit: int = 50) -> tuple[ComparedRun, ...]:
    """The latest recorded runs, sorted by the primary metric; versions are those of the stage.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    """
    client = connect(settings.stack)
    primary = settings.evaluation.primary
    with talking(settings.stack):
        experiment = client.get_experiment_by_name(settings.project)
        if experiment is None:
            return ()
        runs = client.search_runs(
            [experiment.experiment_id],
            "attributes.status = 'FINISHED' and tags.`mlops.decision` != ''",  # no trials
            order_by=["attributes.start_time DESC"],
            max_results=limit,
        )
        versions = {
            version.run_id: int(version.version)
            for version in client.search_model_versions(f"name='{settings.registered_model}'")
        }
    rows = [_row(run, versions.get(run.info.run_id), primary) for run in runs]
    sign = -1.0 if METRICS[primary].higher_is_better else 1.0
    return tuple(
        sorted(rows, key=lambda row: sign * row.score.value if row.score else float("inf"))
    )


def _row(run: "Run", version: int | None, primary: str) -> ComparedRun:
    metrics = dict(run.data.metrics)
    names = (primary, f"{primary}_low", f"{primary}_high")
    score = Interval(*(metrics[name] for name in names)) if set(names) <= set(metrics) else None
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    return ComparedRun(
        run_id=run.info.run_id,
        model=run.data.tags.get("mlops.model", ""),
        version=version,
        decision=run.data.tags.get("mlops.decision", ""),
        started=started.strftime("%Y-%m-%d %H:%M:%S"),
        score=score,
        metrics={name: metrics[name] for name in METRICS if name in metrics},
        overrides=tuple(run.data.tags.get("mlops.overrides", "").split()),
    )

"""Trials of a study as runs in MLflow: one parent for the study, one nested run for each place.

Guarantees, each held by a test: a place of a study has one run, whoever records it and however
often; a run that a killed process left half written is completed. Trials are runs of the project's
experiment without a decision of the gate, so `mlops compare` does not list them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.client import connect, experiment, talking
from mlops_tasks.settings.schema import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STUDY_TAG, PLACE_TAG = "mlops.study", "mlops.trial"
PARENT_TAG = "mlflow.parentRunId"
MOST = 1000  # runs in one answer
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one place of a study.

    `state` is "complete", "pruned" or "failed"; `values` has the mean of the metric after each
    fold, `value` the last of them where it is complete. Times are in milliseconds since 1970.
    """

    place: int
    state: str
    params: Mapping[str, Any]
    values: Mapping[int, float]
    value: float | None
    started: int
    ended: int
    worker: str = ""
    error: str = ""


def record_trials(
    settings: Settings, study: str, trials: Sequence[Trial], known: frozenset[int] = frozenset()
) -> tuple[str, frozenset[int]]:
    """Record trials that are not recorded yet.

    Parameters
    ----------
    settings
        Names project, metric and tracking store.
    study
        Its name.
    trials
        Finished ones, in any order.
    known
        Places known to be recorded.

    Returns
    -------
    tuple of str, frozenset of int
        The id of the study's run, and the places that are recorded now.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    """
    stack, client = settings.stack, connect(settings.stack)
    with talking(stack):
        where = experiment(client, stack, settings.project)
        with lease(ledger_of(stack), f"study:{study}:run"):
            parent = _parent(client, where, settings, study)
        done = set(known)
        if not done and trials:
            done = _recorded(client, where, study)
        for trial in trials:
            if trial.place in done:
                continue
            with lease(ledger_of(stack), f"study:{study}:{trial.place}"):
                _record(client, where, settings, study, parent, trial)
            done.add(trial.place)
    return parent, frozenset(done)


def finish_study(
    settings: Settings, run_id: str, best: Trial | None, counts: dict[str, int]
) -> None:
    """Write what was found into the study's run, and end it.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    """
    stack, client = settings.stack, connect(settings.stack)
    with talking(stack):
        for name, count in counts.items():
            client.set_tag(run_id, f"mlops.trials.{name}", str(count))
        if best is not None:
            assert best.value is not None
            client.log_metric(run_id, settings.evaluation.primary, best.value, best.ended)
            for name, value in best.params.items():
                client.set_tag(run_id, f"mlops.best.{name}", str(value))
        client.set_terminated(run_id, "FINISHED")


def _parent(client: "MlflowClient", where: str, settings: Settings, study: str) -> str:
    wanted = f"tags.`{STUDY_TAG}` = '{study}' and tags.`{PLACE_TAG}` = 'all'"
    found = client.search_runs([where], wanted, max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {STUDY_TAG: study, PLACE_TAG: "all", "mlops.model": settings.model.name}
    run = client.create_run(where, run_name=f"tune {settings.model.name}", tags=tags)
    return str(run.info.run_id)


def _recorded(client: "MlflowClient", where: str, study: str) -> set[int]:
    """Places whose run is complete."""
    wanted = f"tags.`{STUDY_TAG}` = '{study}' and attributes.status != 'RUNNING'"
    found, token = set(), None
    while True:
        page = client.search_runs([where], wanted, max_results=MOST, page_token=token)
        places = (run.data.tags.get(PLACE_TAG, "") for run in page)
        found |= {int(place) for place in places if place.isdecimal()}
        token = page.token
        if not token:
            return found


def _record(
    client: "MlflowClient", where: str, settings: Settings, study: str, parent: str, trial: Trial
) -> None:
    from mlflow.entities import Metric, Param

    run = _run_of(client, where, study, trial.place)
    if run is not None and run.info.status != "RUNNING":
        return
    if run is None:
        tags = {
            STUDY_TAG: study,
            PLACE_TAG: str(trial.place),
            PARENT_TAG: parent,
            "mlops.model": settings.model.name,
            "mlops.worker": trial.worker,
            "mlops.state": trial.state,
            "mlops.error": trial.error,
        }
        name = f"trial {trial.place}"
        run = client.create_run(where, start_time=trial.started, run_name=name, tags=tags)
    primary = settings.evaluation.primary
    # The trial's own times: written twice after a kill, it is still one measurement.
    metrics = [Metric(f"{primary}_so_far", v, trial.ended, n) for n, v in trial.values.items()]
    if trial.value is not None:
        metrics.append(Metric(primary, trial.value, trial.ended, 0))
    params = [Param(name, str(value)) for name, value in trial.params.items()]
    client.log_batch(run.info.run_id, metrics=metrics, params=params)
    client.set_terminated(run.info.run_id, STATUS[trial.state], trial.ended)


def _run_of(client: "MlflowClient", where: str, study: str, place: int) -> "Run | None":
    wanted = f"tags.`{STUDY_TAG}` = '{study}' and tags.`{PLACE_TAG}` = '{place}'"
    found = client.search_runs([where], wanted, max_results=1)
    return found[0] if found else None

"""A backtest as one MLflow run: a metric is a curve over the windows, and the page lies with it.

Guarantee, held by a test: the same backtest of the same rows and code is one run, however often it
is recorded. It is a run without a decision of the gate, so `mlops compare` does not list it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from mlops_tasks.artifacts import Evaluation, Split
from mlops_tasks.encoding import digest
from mlops_tasks.evaluation.backtest import Backtest, backtest_of
from mlops_tasks.evaluation.backtest_page import render_backtest
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.client import connect, experiment, talking
from mlops_tasks.settings.schema import Settings

KEY_TAG = "mlops.backtest"
PAGE = "backtest.html"


def record_backtest(
    settings: Settings, splits: Sequence[Split], evaluations: Sequence[Evaluation], sliding: bool
) -> Backtest:
    """Put the windows together, and record them.

    Parameters
    ----------
    settings
        Names model, metric, project and tracking store.
    splits, evaluations
        Windows and their evaluations, in the order of time.
    sliding
        How the windows were cut.

    Raises
    ------
    RegistryError
        If MLflow refuses or does not answer.
    StorageError
        If the rows of a window are gone or altered.
    """
    from mlflow.entities import Metric, Param

    stack, model = settings.stack, settings.model
    found = backtest_of(model.name, settings.evaluation.primary, sliding, splits, evaluations)
    key = digest([list(evaluations), sliding, model])
    client = connect(stack)
    with talking(stack), lease(ledger_of(stack), f"backtest:{key}"):
        where = experiment(client, stack, settings.project)
        known = client.search_runs([where], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        if known and known[0].info.status == "FINISHED":
            run = known[0]
        else:
            tags = {KEY_TAG: key, "mlops.model": model.name}
            name = f"backtest {model.name}"
            run = known[0] if known else client.create_run(where, run_name=name, tags=tags)
            metrics = [
                Metric(name, interval.value, _moment(window.end), step)
                for step, window in enumerate(found.windows)
                for name, interval in window.metrics.items()
            ]
            params = [Param(name, str(value)) for name, value in model.params.items()]
            params += [Param("windows", str(len(splits))), Param("sliding", str(sliding))]
            client.log_batch(run.info.run_id, metrics=metrics, params=params)
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / PAGE).write_text(render_backtest(found), encoding="utf-8")
                client.log_artifacts(run.info.run_id, folder)
            client.set_terminated(run.info.run_id, "FINISHED")
    return replace(found, run_id=run.info.run_id, report_uri=f"{run.info.artifact_uri}/{PAGE}")


def _moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
